"""The first page: what data, which model, where it serves, what runs, what happened last.

Each module makes one part of the overview document; ``page.py`` puts them together and serves them
as the page and as ``/api/overview``. To add a part: a module with one function, a line in
``page.overview_document``, and a card in ``templates/overview.html``.
"""
