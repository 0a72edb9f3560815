"""Words everybody shares: errors, settings, schemas, digests, clock, catalog, journal, progress.

May import: nothing of this project. Every other room may import this one.
To add: only what at least two rooms need and what names no technology of one of them.
"""
