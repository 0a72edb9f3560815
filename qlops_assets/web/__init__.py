"""The console: pages for people, the same facts as JSON, and the live event stream.

It reads the journal, the registry and the files of the home, and never runs work. Everything it
serves is made here or comes out of an installed package; nothing is fetched from elsewhere.

May import: core, registry, lake, deployment, models; FastAPI and Starlette, as serving does.
To add a page: a folder with ``page.py`` (an ``APIRouter`` named ``router``), a template that
extends ``base.html``, and one line in ``pages.py``; the navigation shows it from then on.
"""
