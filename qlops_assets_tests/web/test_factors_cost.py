"""What the pages of factors cost: bytes, time, and what they make the console import."""

import subprocess
import sys
import time
from datetime import date

from qlops_assets.core.settings import Settings
from qlops_assets_tests.support.asgi_client import TestClient
from qlops_assets_tests.support.factor_reports import large_analysis, small_analysis, write_report
from qlops_assets_tests.support.pages import Elements

END = date(2022, 12, 30)


def test_page_of_a_large_report_is_light_and_made_fast(
    client: TestClient, settings: Settings
) -> None:
    write_report(settings, large_analysis(), training_end=END)
    content = client.get("/factors").content
    linked = Elements(content.decode()).addresses() | {"/api/factor-correlations"}
    scripts = [client.get(path) for path in linked if path.startswith(("/static/", "/api/factor-"))]
    weight = len(content) + sum(len(part.content) for part in scripts)
    assert weight < 500_000
    assert len(client.get("/api/factors/FACTOR7").content) < 300_000
    for path in ("/factors", "/factors/FACTOR7"):
        assert min(seconds(client, path) for _ in range(5)) < 0.15


def seconds(client: TestClient, path: str) -> float:
    started = time.perf_counter()
    assert client.get(path).status_code == 200
    return time.perf_counter() - started


def test_pages_load_no_training_library_and_the_console_starts_without_polars(
    settings: Settings,
) -> None:
    write_report(settings, small_analysis(), training_end=END)
    code = f"""
import sys
from pathlib import Path
from qlops_assets.core.settings import Settings
from qlops_assets.web.app import build_console
app = build_console(Settings(home=Path({str(settings.home)!r})))
assert not {{"polars", "numpy", "scipy"}} & set(sys.modules)
from fastapi.testclient import TestClient
with TestClient(app, base_url="http://127.0.0.1") as client:
    for path in ("/factors", "/factors/GOOD", "/api/factors/GOOD", "/api/factor-correlations"):
        assert client.get(path).status_code == 200
assert not {{"qlib", "numba", "torch", "lightgbm", "pandas", "dagster"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
