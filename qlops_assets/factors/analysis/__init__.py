"""How well factors foretell returns: statistics of a whole set, and a selection that says why.

Start at ``analysis.analyse`` and ``selection.select``. Everything is computed day by day across
instruments, so an analysis reads factors once, in the order of days, in bounded memory.

* ``returns``: what a factor has to foretell.
* ``blocks``: factor frames as blocks of whole days; ``kernels``: what is measured on a day, in
  machine code; ``measures``: the kernels over all blocks, folded over days.
* ``inference``: standard errors that know about overlapping returns, and false discoveries.
* ``clusters``: which factors say the same.
* ``files``: an analysis as a folder of Parquet and JSON.

May import: core, ``factors.native.compilation``; Numba, SciPy and statsmodels on first use. To add
a figure: write it in ``kernels``, name its place in ``measures.Places``, give it a column in
``tables``.
"""
