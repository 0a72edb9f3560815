"""Bringing a model version into an environment: requests, approvals, gates, the switch, history.

May import: core, registry, models, and the rooms below. What the model server needs is handed to
it as the protocols of ``core.prediction``.
"""
