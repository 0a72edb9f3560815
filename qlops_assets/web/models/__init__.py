"""Model versions over HTTP: cards, history, curves and reports.

May import: core, registry and the rest of ``web``. To add an interface: a route in ``api.py``.
"""
