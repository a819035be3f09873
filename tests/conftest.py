"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read when numpy loads BLAS. Workers share the cores, and BLAS' threads would wait for each other in busy loops.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real weights, clips and datasets that lies beside the checkout on some machines."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"no {SHARED.name}/ folder beside the checkout (real weights and clips)")
    return SHARED


@pytest.fixture(scope="session")
def spleeter_python() -> Path:
    """The Python that has Spleeter 2.4.2: that of ``STEMWORKS_PEERS`` (an environment's folder), or of ``.peers/``."""
    python = Path(os.environ.get("STEMWORKS_PEERS", ROOT / ".peers")) / "bin" / "python"
    if not python.exists():
        pytest.skip("no real Spleeter here: run make peers, or let STEMWORKS_PEERS name its environment")
    return python
