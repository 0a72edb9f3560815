"""Assets of the group ``factors``: factor rows."""
