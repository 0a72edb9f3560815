"""Our frames in the forms of Qlib's users, and back: bin, CSV, Pickle; and as a source of ours.

A frame that goes in or comes out has canonical codes (``instruments.canonical``), days, one row per
(instrument, date), null for missing. Numbers survive to the bit of float32, which is what Qlib
computes with. ``forms`` finds out what a path holds and writes any form; one module reads or writes
one form. Nothing here runs code of the data: ``pickle_records`` reads pickles as inert records.

May import: what ``lake`` may; pandas only in ``pickle_writer``, on first use.
To add: a reader and a writer module of the form, and a line each in ``forms``.
"""
