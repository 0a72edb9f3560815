import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.scan import load_manifest, scan

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from pathlib import Path
from qlops_assets.core.atomic import remove_folder
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.bars import build_bars
from qlops_assets.lake.manifest import month_versions
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.lake.scan import scan
import shutil

home, source = map(Path, sys.argv[1:])
settings = Settings(home=home, source=SourceSettings(path=source, quiet_seconds=0.0))
print("ready", flush=True)
while True:
    build_bars(settings, list(month_versions(scan(settings))))
    remove_folder(build_provider(settings))
    shutil.rmtree(settings.lake / "raw_bars")
"""


def test_kill_at_any_moment_leaves_whole_files_only(source, make_bars) -> None:
    for year in (2019, 2020):
        source.write(f"{year}.parquet", make_bars(first=date(year, 1, 1), days=126))
    settings = source.settings
    expected = {}
    chance = random.Random(5)
    dataset = bars_dataset(settings)
    for _ in range(4):
        arguments = [sys.executable, "-c", WORKER, str(settings.home), str(source.folder)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT) as worker:
            assert worker.stdout is not None
            worker.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.8))
            worker.send_signal(signal.SIGKILL)
        for month in dataset.months():
            digest = dataset.verify(month).digest
            assert expected.setdefault(month, digest) == digest
        load_manifest(settings)
        for provider in (settings.lake / "qlib").glob("[!.]*"):
            assert (provider / "features" / "sh600000" / "change.day.bin").stat().st_size > 4
    assert expected
    reports = build_bars(settings, list(month_versions(scan(settings))))
    assert {month: report.digest for month, report in reports.items()} | expected == expected
    assert len(reports) == 12
