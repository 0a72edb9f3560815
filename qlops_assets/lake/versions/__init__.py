"""What the source held, and when: snapshots, what changed between them, and the way back.

``contents`` tells what a file says apart from how its bytes say it; ``snapshots`` keeps one record
for every state of the source that was seen; ``diff``, ``restore`` and ``history`` read them;
``verify`` and ``retention`` look after the kept bytes; ``provenance`` says which files the bars of
the lake were made of.

May import: ``core``, the rest of ``lake``, Polars, NumPy, xxhash.
"""
