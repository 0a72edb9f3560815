"""The user's Parquet, versioned: from files we do not own to clean monthly bars and Qlib's store.

The way of the data: ``scan`` looks at the source and writes a manifest (which files, which content,
which months); ``intake`` keeps a file's bytes and reads them; ``bars`` cleans them into the monthly
dataset of ``datasets``; ``calendar``, ``universe``, ``benchmark`` and ``quality`` are read from it;
``qlib_bin`` turns it into an immutable Qlib provider; ``conversions`` writes and reads the forms of
Qlib's users. The source is never written to.

May import: ``core``, Polars, PyArrow, NumPy; pandas only to write a pickle, on first use.
To add: a source layout is one file in ``sources`` and a line in ``sources/catalog.py``; a quality
check is one function in ``quality`` and its place in ``quality.findings``.
"""
