"""A finished run, as training leaves it."""

import json
import math

import pytest

from sepcore.config.load import load_config
from sepcore.evaluation.scores import ScoreSummary, StemScores

CHECKPOINT = {
    "checkpoint": b'model_checkpoint_path: "/home/trainer/run/model/model"\n',
    "model.index": b"index",
    "model.data-00000-of-00001": b"weights" * 1000,
}

DONE = {
    "name": "mine",
    "steps": 1500,
    "dataset": "abcdef012345",
    "mlflow_run_id": "0123456789abcdef",
    "facts": {"songs": "24", "weights": "1400", "hardware": "Some CPU, 2 cores", "commit": "c0ffee"},
}


def summary(**sdr_and_mixture):
    stems = {
        name: StemScores(sdr, 9.0, math.nan, 4.0, mixture, global_sdr=sdr + 0.5)
        for name, (sdr, mixture) in sdr_and_mixture.items()
    }
    return ScoreSummary("SynthMUS test", 6, 12, stems)


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "runs" / "mine-0123456789ab"
    (folder / "model").mkdir(parents=True)
    for name, content in CHECKPOINT.items():
        (folder / "model" / name).write_bytes(content)
    paths = {"train_csv": "/data/train.csv", "test_csv": "/data/test.csv", "training_cache": "/data/cache"}
    config = {**json.loads(load_config("2stems").to_json()), **paths}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "done.json").write_text(json.dumps(DONE))
    scores = summary(vocals=(5.0, -3.0), accompaniment=(8.0, 3.0))
    (folder / "scores.json").write_text(scores.to_json())
    return folder
