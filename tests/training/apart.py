"""Trainings on made-up spectrograms, one after another in a process of their own.

Keras' backend and TensorFlow's devices are chosen once in a process: tests of others cannot run in pytest's own.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.training.run_folder import RunFolder
from sepcore.training.trainer import TrainingWork, fit
from tests.models import randomize, small_config
from tests.repository import ROOT


def batch(step, config):
    """Four examples of different loudness, so that parts of a batch differ in their statistics and gradients."""
    is_waveform = config.cache_content == "waveform"
    shape = (4, 2, config.segment_samples, 2) if is_waveform else (4, 2, 64, 64, 2)
    loudness = np.arange(1, 5, dtype=np.float32).reshape(-1, *[1] * (len(shape) - 1))
    targets = loudness * np.random.default_rng(step).random(shape).astype(np.float32)
    return targets.sum(axis=1), targets


def train(path, **keys):
    """Train in the folder ``path``; returns the training losses of all steps and the last validation loss."""
    fixed = {"batch_size": 4, "train_max_steps": 6, "save_checkpoints_steps": 3, "save_summary_steps": 1}
    config = small_config(**fixed | {"learning_rate": 1e-3} | keys)
    losses = []

    def report(record):
        losses.extend(value for name, value in record.metrics.items() if name in ("train_loss", "validation_loss"))

    def validation_batches():
        mixture, targets = batch(1000, config)
        return [(mixture, targets), (mixture[:1], targets[:1])]  # the last one is smaller

    batches = (lambda first: (batch(step, config) for step in itertools.count(first)), validation_batches)
    fit(config, RunFolder(Path(path)), TrainingWork(*batches, report))
    return losses


def train_apart(trainings, **environment):
    """Run `train` in another process for each folder and keys of ``trainings``; returns the losses of each."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.training.apart", json.dumps([(str(path), keys) for path, keys in trainings])],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def write_model(folder, **keys):
    """A run folder with random weights, batch norm's statistics too."""
    config = small_config(**keys)
    network = build_network(config)
    randomize(network)
    write_checkpoint(network, folder / "model", step=0)
    (folder / "config.json").write_text(config.to_json())
    return network


if __name__ == "__main__":
    print(json.dumps([train(path, **keys) for path, keys in json.loads(sys.argv[1])]))  # noqa: T201 -- its caller reads what it prints
