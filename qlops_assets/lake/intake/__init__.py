"""From a file of the user's to rows we can trust: keep its bytes, read it, judge it.

``blobs`` keeps each version's bytes once; ``rows`` reads one file into our columns and types;
``faults`` finds rows that cannot be right; ``agreement`` finds files that contradict others.

May import: ``core``, ``lake.instruments``, ``lake.manifest``, ``lake.sources``, Polars, PyArrow.
To add: a fault is one line in ``faults``; an accepted type of dates is one branch in ``dates``.
"""
