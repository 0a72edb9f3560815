"""The market of the backtest: costs, trade unit, volume cap and price limits in Qlib's exchange.

May import: core, lake, factors. To add a region, extend ``conditions.REGIONS`` and, where it has
price limits, ``boards.default_boards``.
"""
