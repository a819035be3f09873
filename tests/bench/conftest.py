"""How large a benchmark runs: smallest in ``make test``, so that it cannot rot; full in ``make bench``."""

import os

import pytest


@pytest.fixture(scope="session")
def full_size() -> bool:
    """Whether this is ``make bench``."""
    return os.environ.get("STEMWORKS_BENCH") == "full"
