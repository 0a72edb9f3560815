"""Files that cannot be reached: folders and links in their place, no permission."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qlops_assets.lake.manifest import changed_months
from qlops_assets.lake.scan import load_manifest, scan
from qlops_assets_tests.support.monthly_files import month_bars, reason, usable

ROOT = Path(__file__).parents[2]


def test_good_file_replaced_by_an_empty_folder_keeps_its_good_version(two) -> None:
    first = scan(two.settings)
    (two.folder / "2020-01.parquet").unlink()
    (two.folder / "2020-01.parquet").mkdir()
    second = scan(two.settings)
    assert reason(second, "2020-01.parquet") == "is a folder now, without bars in it"
    assert second.held == ["2020-01.parquet"]
    assert changed_months(first, second) == set()
    assert scan(two.settings) == second
    (two.folder / "2020-01.parquet").rmdir()
    assert changed_months(second, scan(two.settings)) == {"2020-01"}


def test_file_replaced_by_a_folder_of_parts_is_read_from_them(two, make_bars) -> None:
    first = scan(two.settings)
    (two.folder / "2020-01.parquet").unlink()
    two.write("2020-01.parquet/part-0.parquet", month_bars(make_bars, 1))
    second = scan(two.settings)
    assert usable(second) == ["2020-01.parquet/part-0.parquet", "2020-02.parquet"]
    assert (second.quarantined, changed_months(first, second)) == ((), set())


def test_links_that_lead_to_each_other_keep_the_good_version(two) -> None:
    first = scan(two.settings)
    (two.folder / "2020-01.parquet").unlink()
    (two.folder / "2020-01.parquet").symlink_to(two.folder / "loop.parquet")
    (two.folder / "loop.parquet").symlink_to(two.folder / "2020-01.parquet")
    second = scan(two.settings)
    assert "Too many levels of symbolic links" in reason(second, "2020-01.parquet")
    assert second.held == ["2020-01.parquet"]
    assert changed_months(first, second) == set()
    assert scan(two.settings) == second


def test_dangling_link_keeps_the_good_version(two, tmp_path) -> None:
    away = tmp_path / "away.parquet"
    (two.folder / "2020-01.parquet").rename(away)
    (two.folder / "2020-01.parquet").symlink_to(away)
    first = scan(two.settings)
    away.unlink()
    second = scan(two.settings)
    assert "cannot be read (No such file" in reason(second, "2020-01.parquet")
    assert changed_months(first, second) == set()


SCANNER = """
import json, sys
from pathlib import Path
from qlops_assets.core.errors import QlopsError
from qlops_assets.core.settings import Settings, SourceSettings
from qlops_assets.lake.scan import scan
source = SourceSettings(path=Path(sys.argv[2]), quiet_seconds=0.0)
try:
    found = scan(Settings(home=Path(sys.argv[1]), source=source))
    print(json.dumps({"held": found.held, "reasons": [q.reason for q in found.quarantined]}))
except QlopsError as error:
    print(json.dumps({"error": str(error)}))
"""


def scan_without_privilege(two) -> dict:
    """Scan in another process: root's may read whatever it likes, unless that is taken from it."""
    command = [sys.executable, "-c", SCANNER, str(two.settings.home), str(two.folder)]
    if os.geteuid() == 0:
        taken = "-dac_override,-dac_read_search"
        if shutil.which("setpriv") is None:
            pytest.skip("root may read every file, and there is no setpriv")
        command = ["setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_file_without_permission_keeps_its_good_version(two, set_age) -> None:
    first = scan(two.settings)
    path = two.folder / "2020-01.parquet"
    path.chmod(0)
    # Unchanged by its size and time, it need not be read.
    assert scan_without_privilege(two) == {"held": [], "reasons": []}
    set_age(path, 100)
    found = scan_without_privilege(two)
    assert found["held"] == ["2020-01.parquet"]
    assert "cannot be read (Permission denied)" in found["reasons"][0]
    path.chmod(0o600)
    assert scan_without_privilege(two) == {"held": [], "reasons": []}
    assert changed_months(first, load_manifest(two.settings)) == set()


def test_folder_without_permission_is_an_error_and_loses_nothing(two, make_bars) -> None:
    two.write("part/2020-03.parquet", month_bars(make_bars, 3))
    first = scan(two.settings)
    (two.folder / "part").chmod(0)
    try:
        found = scan_without_privilege(two)
    finally:
        (two.folder / "part").chmod(0o700)
    assert "part: cannot be listed (Permission denied)" in found["error"]
    assert load_manifest(two.settings) == first
