"""The report of a training: one HTML page with everything, and the tables behind its charts.

Modules named after a table compute it; ``*_figures`` draw; ``tables`` takes all tables together;
``charts`` puts a figure, what it shows and its data together; ``page`` writes them out.
May import: core, factors, and of training what an evaluation has measured.
To add a chart: its table, its figure, and its entry in ``charts``.
"""
