"""Does a model hold on days that it was not made on: the evidence, and a verdict on it.

One file per measure; ``evidence`` takes them together, ``rules`` judge by ``[overfitting]``.
Everything here is a function of numbers: no files, no Qlib, no clock.
May import: core, factors. To add a measure: its file, a field of ``Evidence``, a rule in ``rules``.
"""
