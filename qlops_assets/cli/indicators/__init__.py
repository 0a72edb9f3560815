"""``qlops indicator``: the catalog of indicators, one of them, and one's own tried."""
