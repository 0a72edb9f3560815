"""How far back the windows of the stored factors reach.

A module of its own, and light: Dagster's graph needs it when it loads, the store when it computes.
"""

# The longest window among the 158 (ROC60, MA60, …), in trading days.
LOOK_BACK_DAYS = 60

# 60 trading days never reach further back than four calendar months of a daily calendar.
LOOK_BACK_MONTHS = 4
