"""Model versions: their states, history and facts, folded from the journal.

May import: core. To add a state or an event, extend the table in ``states.py``; the property tests
pick it up.
"""
