"""Fixtures of all tests."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read when numpy loads BLAS. Workers share the cores, and BLAS' threads would wait for each other in busy loops.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background job ignores Ctrl-C, and so would all commands that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="module", autouse=True)
def memory_given_back() -> Iterator[None]:
    """Between files: what Keras keeps of networks that are gone would add up to gigabytes in each worker."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Networks that are converted for the engine of CPUs are this run's: those of yesterday's code may be others."""
    fonts = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
    os.environ.setdefault("MPLCONFIGDIR", str(fonts))  # collected once for all runs, which takes long
    base = tmp_path_factory.getbasetemp()
    os.environ["XDG_CACHE_HOME"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")


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
