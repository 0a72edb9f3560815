"""Window operators as machine code. Every kernel takes the same arguments.

- ``x`` (and ``y``): float64 values, segments one behind the other;
- ``ages``: for every value its place in the instrument's own history, 1 for the first row, less
  than 1 where the instrument has no row yet;
- ``bounds``: places where segments begin, and the end of the last;
- ``stride``: values from one day to the next: 1 where a segment is one instrument's history, the
  number of instruments where a segment is a table of days by instruments;
- ``first``: values at the beginning of each segment that serve as history only and get no output;
- ``windows``: ascending lengths in days, each at least 1;
- ``requests``: rows of (statistic, place in ``windows``), one for each row of ``out``;
- ``scores``: one further number for each request;
- ``work``: float64 memory for the kernel's own use, of ``segments.work_size``;
- ``out``: float64, requests by values.

The loops run over lags outside and days inside: windows are nested, so that one scan up to the
longest serves all of them, and the inner loop is one vector instruction for eight days. Every
value is computed from its own window alone, in the order of the lags, so that it does not depend on
how much history came before. NaN counts as absent, as in pandas with ``min_periods=1``. ``first``
is more than 0 only where there is a single segment.
"""
