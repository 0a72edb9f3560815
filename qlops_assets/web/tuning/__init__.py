"""The pages of tuning studies: what runs, what was found, live; and the request to stop one.

What is known is folded in ``core/studies/history.py``. ``view`` makes the documents that page and
JSON show, ``trials`` those of the trials, ``layout`` what the page alone needs.

May import: core, registry and the rest of ``web``. To show another fact of a trial: a key in
``trials``, its cell in ``templates/study_parts.html``.
"""
