"""``qlops tune``: studies of a model's parameters."""
