"""Assets of the feature table."""
