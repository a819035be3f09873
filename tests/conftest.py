"""Fixtures of all tests."""

import ctypes
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import hypothesis
import pytest

from tests.canaries import SECRETS, told_in
from tests.repository import ROOT
from tests.surroundings import changes, forbid_signals_to_this_process, move_home, surroundings

# Under load a drawn example may take any time, which says nothing about the code.
hypothesis.settings.register_profile("stemworks", deadline=None)
hypothesis.settings.load_profile("stemworks")

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
# Before anything is imported that looks there. A worker's lies in the first process's, and goes with it.
HOME = Path(os.environ["HOME"], WORKER) if WORKER else Path(tempfile.mkdtemp(prefix="stemworks-tests-"))
HOME.mkdir(exist_ok=True)
move_home(HOME)
forbid_signals_to_this_process()

if WORKER:
    # Read when numpy loads BLAS. Workers share the cores, and BLAS' threads would wait for each other in busy loops.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background job ignores Ctrl-C, and so would all commands that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--order-seed``, to see that no test depends on what ran before it."""
    parser.addoption("--order-seed", metavar="SEED", help="run the files, and each file's tests, in a random order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle files, and the tests in each that is no story; every worker gives the same order."""
    if (seed := config.getoption("--order-seed")) is None:
        return
    rng = random.Random(seed)
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    rng.shuffle(files)
    for tests in files:
        if tests[0].get_closest_marker("in_order") is None:
            rng.shuffle(tests)
    items[:] = [test for tests in files for test in tests]


def pytest_unconfigure() -> None:
    """Remove the home."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def surroundings_left_as_they_were() -> Iterator[None]:
    """A test that leaves the process changed for those after it fails, and not one of those."""
    before = surroundings()
    yield
    changed = list(changes(before, surroundings()))
    assert not changed, "the test left behind: " + "; ".join(changed)


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


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """At the end of all tests: nothing that they wrote has a secret of the environment in it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        yield
    assert told_in(tmp_path_factory.getbasetemp()) + told_in(HOME) == []


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


@pytest.fixture(scope="session")
def torch_python() -> Path:
    """The Python that has PyTorch and msst: that of ``STEMWORKS_PEERS_TORCH`` (a folder), or of ``.peers-torch/``."""
    python = Path(os.environ.get("STEMWORKS_PEERS_TORCH", ROOT / ".peers-torch")) / "bin" / "python"
    if not python.exists():
        pytest.skip("no PyTorch here: run make peers-torch, or let STEMWORKS_PEERS_TORCH name its environment")
    return python
