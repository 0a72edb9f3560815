"""Assets of technical indicators."""
