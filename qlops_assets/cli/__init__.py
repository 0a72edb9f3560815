"""``qlops``: a thin shell over the rooms, and the process entry points.

May import: everything; it sits on top because it runs what ``definitions`` composes. Modules here
import heavy libraries inside functions, so that ``qlops --help`` answers at once. To add a command:
one function in the module of its noun, one line in ``main.COMMANDS``.
"""
