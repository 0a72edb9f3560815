"""Sections of ``qlops.toml`` that are long enough for a file of their own, as dataclasses.

``core/settings.py`` puts them together. May import: the standard library.
To add one: a frozen dataclass whose docstring states each setting, and its field of ``Settings``.
"""
