"""Qlib's own task files, as ``qrun`` takes them: read into settings, and written from a spec.

Nothing that a file names is imported: its classes are looked up in a list of known ones.
May import: what ``training`` may. To take over another class: its line in ``known.py``.
"""
