"""What Prefect costs beside the same work without it: a song's task, and a quickstart, its server's start left out."""

import os
import statistics
import sys
from pathlib import Path

import pytest

from tests.bench.measured import run_measured
from tests.repository import ROOT

pytestmark = pytest.mark.slow

COST = Path(__file__).with_name("orchestration_cost.py")


@pytest.fixture
def seconds(tmp_path):
    """``seconds("prefect", "songs", 10)`` in a process and a folder of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    environment = kept | {
        "STEMWORKS_ROOT": str(ROOT),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    folders = iter(range(1000))

    def measure(*arguments):
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        return float(run_measured(sys.executable, COST, *arguments, env=environment, cwd=folder).said)

    return measure


def test_a_song_task(seconds, full_size, capsys):
    number = 1000 if full_size else 50
    with_prefect, plain = seconds("prefect", "songs", number), seconds("plain", "songs", number)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{number} songs' tasks that do nothing: {1000 * (with_prefect - plain) / number:.1f} ms each "
            f"(flow and artifact included)\n"
        )


@pytest.mark.skipif("STEMWORKS_BENCH" not in os.environ, reason="two quickstarts take minutes: make bench")
def test_a_quickstart(seconds, capsys):
    pairs = [(seconds("prefect", "quickstart", 100), seconds("plain", "quickstart", 100)) for _ in range(3)]
    ratio = statistics.median(with_prefect / plain for with_prefect, plain in pairs)
    with capsys.disabled():
        shown = ", ".join(f"{with_prefect:.1f} and {plain:.1f} s" for with_prefect, plain in pairs)
        sys.stdout.write(f"\na quickstart of 100 steps with Prefect and without: {shown}; median ratio {ratio:.3f}\n")
