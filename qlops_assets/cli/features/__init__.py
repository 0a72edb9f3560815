"""``qlops features``: the feature table and its versions."""
