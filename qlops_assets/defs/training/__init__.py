"""Assets of the group ``training``: training sets, models and their evaluations."""
