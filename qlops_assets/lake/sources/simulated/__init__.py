"""The built-in market: a seeded simulation with a planted, documented signal, written as a source.

It is what a new user meets first, so it looks like a real source folder and says that it is not.
The parts, in the order in which they are made: ``world`` (days, listings, halts, risks),
``signal`` (what is planted), ``trading`` (limits, splits, closes, volumes), ``bars`` (opens, highs,
lows), ``index`` (members and level), ``readme`` (what the folder says of itself), ``market``.
"""
