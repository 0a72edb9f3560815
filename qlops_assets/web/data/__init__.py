"""The page of the data: what the source held and when, what of it is not used, what months say.

``view`` makes the documents, ``coverage`` the drawing of the months, ``page`` serves both as pages
and as JSON. To add a part: a function in ``view``, its card in ``templates/data.html``.
"""
