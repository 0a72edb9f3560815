"""Assets of the group ``lake``: bars and their versions."""
