"""The excerpts of validations in a run folder and in MLflow."""

import mlflow
import pytest

from sepcore.training.run_folder import RunFolder
from tasks.examples import ValidationExamples
from tasks.tracking import tracking_uri
from tasks.tracking.run import tracked
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
    assert tracking.missed == []


class Tracking:
    """Stands for an MLflow run: notes which folders are removed."""

    def __init__(self, run):
        self.run, self.removed = run, []

    def remove_folder(self, path):
        self.removed.append(path)


def test_what_somebody_else_put_among_the_excerpts_stays_and_is_in_nobodys_way(tmp_path):
    tracking = Tracking(RunFolder(tmp_path / "run"))
    root, elsewhere = tracking.run.examples, tmp_path / "elsewhere"
    for step in range(1, 10):
        for song in (root / "song", elsewhere):
            (song / f"step-{step:06d}").mkdir(parents=True)
    (root / ".DS_Store").write_text("")
    (root / "step-000001").write_text("")
    (root / "song" / "step-000002" / "deep").mkdir()
    (root / "song" / "step-000003.txt").write_text("")
    (root / "song" / "step-000010").write_text("a file")
    (root / "link").symlink_to(elsewhere)
    ValidationExamples(Songs(), small_config(), tracking).keep_few(best_step=None)
    assert tracking.removed == [f"examples/song/step-{step:06d}" for step in range(2, 7)]
    assert len(list(elsewhere.iterdir())) == 9
    assert {path.name for path in root.iterdir()} == {"song", ".DS_Store", "step-000001", "link"}
    assert {path.name for path in (root / "song").iterdir() if path.is_file()} == {"step-000003.txt", "step-000010"}


def test_excerpts_that_cannot_be_removed_end_no_training(tmp_path, caplog):
    class Refusing(Tracking):
        def remove_folder(self, path):
            raise PermissionError(13, "Permission denied", path)

    tracking = Refusing(RunFolder(tmp_path / "run"))
    for step in range(1, 10):
        (tracking.run.examples / "song" / f"step-{step:06d}").mkdir(parents=True)
    ValidationExamples(Songs(), small_config(), tracking).keep_few(best_step=None)
    assert "cannot be removed (Permission denied)" in caplog.text


def test_why_nothing_was_scored_is_told_by_a_song(tmp_path):
    examples = ValidationExamples(Songs(), small_config(), None)
    assert examples.why_unscored() == "a: no such file and 1 more"
