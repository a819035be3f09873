"""Where the real Spleeter is."""

import os
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[2] / ".peers"


@pytest.fixture(scope="session")
def spleeter_python() -> Path:
    """The Python that has Spleeter 2.4.2: that of ``STEMWORKS_PEERS`` (an environment's folder), or of ``.peers/``."""
    python = Path(os.environ.get("STEMWORKS_PEERS", PEERS)) / "bin" / "python"
    if not python.exists():
        pytest.skip("no real Spleeter here: run make peers, or let STEMWORKS_PEERS name its environment")
    return python
