"""The page of factors: how well each foretells returns, which are alike, which are proposed.

It shows the newest factor report of the home and computes nothing that the report does not hold.

* ``reports``: the newest report, read once and kept until another is there.
* ``figures``: what each number is called, how it is written and what it means.
* ``view``: a report as the pages need it; ``table``: what of it is asked for; ``order``: which
  factors stand beside each other in the map of correlations.
* ``detail``: everything about one factor; ``downloads``: the same for spreadsheets.

May import: core, factors and the rest of ``web``. To show another figure of a report: a line in
``figures``; it is then on the factor's page and in the downloads, and in the table where
``COLUMNS`` names it.
"""
