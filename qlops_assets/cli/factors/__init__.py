"""``qlops factor report`` and ``select``: ``analysis`` has the commands, ``tables`` their looks.

May import: everything; on use, not at import, because ``qlops --help`` has to be fast. To add a
figure to the table: a column in ``tables.render_report``.
"""
