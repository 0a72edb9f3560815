"""Assets of the group ``deployment``: deployments."""
