"""Commands of ``qlops data`` beyond the scan: versions, differences, restoring, conversions.

May import: everything; on use, not at import, because ``qlops --help`` has to be fast. To add a
command: a function in its file, and a line in ``cli/data.py`` that adds it to the group.
"""
