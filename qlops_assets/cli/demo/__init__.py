"""``qlops demo``: the main job, its progress on the terminal, and the summary's document.

``monthly`` holds the stages over months, which ``qlops features refresh`` runs too, ``main_job``
those around them, each only as far as it is not done; ``run`` puts the document together;
``watching`` shows what work reports to the journal. May import: what ``cli`` may.
To add a stage: a method of ``MainJob`` that skips aloud what is done, and its place in ``run``.
"""
