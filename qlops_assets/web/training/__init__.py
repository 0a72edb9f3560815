"""The page of trainings: what runs and what became of it, live; and the request to stop one.

May import: core, registry and the rest of ``web``. What is known is folded in
``core/trainings/history.py``; ``view.py`` makes the documents that page and JSON show.
"""
