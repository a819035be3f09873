"""Golden cases: what the real Spleeter 2.4.2 makes of seeded models and synthetic songs (see ``make_golden.py``)."""

from pathlib import Path

import numpy as np

from tests.golden.synthetic_input import synthetic_input

GOLDEN = Path(__file__).parent


def cases() -> list[Path]:
    """The folders of all cases, by name."""
    return sorted(config.parent for config in GOLDEN.glob("*/config.json"))


def load_case(folder: Path) -> tuple[Path, np.ndarray, dict[str, dict[int, np.ndarray]]]:
    """Load one case; its ``model_dir`` is ``model``, so ``MODEL_PATH`` has to be ``folder``.

    Returns:
        The config's path; the song, float32 ``(samples, 2)``; and what Spleeter makes of it: for each instrument
        windows of its stem, float32 ``(window, 2)``, by the sample they start at.
    """
    with np.load(folder / "expected.npz") as stored:
        waveform = synthetic_input(int(stored["seed"]), int(stored["length"]))
        expected: dict[str, dict[int, np.ndarray]] = {}
        for i, start in enumerate(stored["starts"]):
            for key in (key for key in stored.files if key.endswith(f"_{i}")):
                expected.setdefault(key.removesuffix(f"_{i}"), {})[int(start)] = stored[key]
    return folder / "config.json", waveform, expected
