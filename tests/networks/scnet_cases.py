"""SCNet of PyTorch's code as an oracle: its weights as a checkpoint of ours, its spectra and stems."""

from pathlib import Path
from typing import Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.networks.tensor_bundle import write_tensor_bundle
from tests.models import small_config


def scnet_config(
    params: dict[str, Any], *, stems: int = 2, channels: int = 2, frames: int = 8, bins: int = 129, **keys: Any
) -> ModelConfig:
    """A config of all bins of its STFT; ``keys`` are further ones of its JSON."""
    return small_config(
        instrument_list=[f"stem {number}" for number in range(stems)],
        frame_length=2 * (bins - 1),
        frame_step=(bins - 1) // 2,
        T=frames,
        F=bins,
        n_channels=channels,
        chunk_duration=frames * bins / 8000 + 2,
        model={"type": "scnet.scnet", "params": params},
        **keys,
    )


def oracle_config(case: dict[str, Any]) -> ModelConfig:
    """The config of a case of `scnet_oracle.py`."""
    return scnet_config(**{key: value for key, value in case.items() if key not in ("name", "seed")})


def state_dict(file: Path) -> dict[str, np.ndarray]:
    """The weights of a case, under PyTorch's names and in its order."""
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files if name not in ("spectra", "stems")}


def distance_from_the_oracle(case: dict[str, Any], file: Path, folder: Path) -> float:
    """The largest difference of our stems from the oracle's, as a part of their peak.

    The weights go through a checkpoint in ``folder``.
    """
    folder.mkdir(parents=True)
    write_tensor_bundle(folder / "model", state_dict(file))
    network = build_network(oracle_config(case))
    assert read_checkpoint(network, folder) == 0
    with np.load(file) as stored:
        expected = stored["stems"]
        assert np.abs(expected).max() > 0
        return float(np.abs(np.asarray(network(stored["spectra"])) - expected).max() / np.abs(expected).max())
