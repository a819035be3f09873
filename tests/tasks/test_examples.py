"""The excerpts of validations in a run folder and in MLflow."""

import mlflow
import pytest

from sepcore.training.run_folder import RunFolder
from tasks.examples import ValidationExamples
from tasks.tracking import tracked, tracking_uri
from tests.models import small_config


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return mlflow.MlflowClient(tracking_uri())


class Songs:
    """Stands for the validation songs, of which nothing is asked here."""

    def __init__(self):
        self.unscored = {"a": "no such file", "b": "silent"}


def test_of_many_validations_the_excerpts_of_the_first_the_best_and_the_last_few_are_kept(store, tmp_path):
    run = RunFolder(tmp_path / "run")
    mine = run.examples / "song" / "step-final"
    mine.mkdir(parents=True)
    with tracked(run, "mine") as tracking:
        examples = ValidationExamples(Songs(), small_config(), tracking)
        for step in range(100, 1100, 100):
            for song in ("song", "other"):
                (excerpt := run.examples / song / f"step-{step:06d}" / "vocals.mp3").parent.mkdir(parents=True)
                excerpt.write_bytes(b"")
                tracking.log_file(excerpt, f"examples/{song}/step-{step:06d}")
            examples.keep_few(best_step=min(step, 300))
    kept = [f"step-{step:06d}" for step in (100, 300, 800, 900, 1000)]
    assert sorted(path.name for path in (run.examples / "song").iterdir()) == [*kept, mine.name]
    assert sorted(path.name for path in (run.examples / "other").iterdir()) == kept
    stored = store.list_artifacts(tracking.run_id, "examples/song")
    assert [artifact.path.rpartition("/")[2] for artifact in stored] == kept
    assert tracking.is_whole


def test_why_nothing_was_scored_is_told_by_a_song(tmp_path):
    examples = ValidationExamples(Songs(), small_config(), None)
    assert examples.why_unscored() == "a: no such file; and 1 more"
