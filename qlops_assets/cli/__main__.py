"""``python -m qlops_assets.cli`` is ``qlops``; child processes are started this way."""

from qlops_assets.cli.main import main

main()
