"""Fixtures of all tests."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real weights, clips and datasets that lies beside the checkout on some machines."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"no {SHARED.name}/ folder beside the checkout (real weights and clips)")
    return SHARED
