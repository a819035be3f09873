import pytest

from sepcore.errors import ReleaseError
from sepcore.provider.archive import pack_archive
from sepcore.release.champion import release_before
from sepcore.release.finished_run import FinishedRun
from sepcore.release.publish import publish_release
from sepcore.release.training_record import TrainingRecord


@pytest.fixture
def tarball(run_folder, tmp_path):
    return publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases").tarball


def test_a_release_says_how_its_model_was_trained(tarball, run_folder):
    released, run = TrainingRecord.of_release(tarball), FinishedRun.load(run_folder)
    assert (released.name, released.dataset, released.scores) == (run.name, run.dataset, run.scores)
    assert released.facts == run.facts
    assert released.config.fingerprint() == run.config.fingerprint()
    assert released.weights() == TrainingRecord.of_run(run_folder).weights()
    assert list(released.weights()) == ["model.data-00000-of-00001"]
    assert released.data == {}


def test_one_that_was_never_scored_has_no_scores(run_folder, tmp_path):
    (run_folder / "scores.json").unlink()
    forced = publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases", force=True)
    assert TrainingRecord.of_release(forced.tarball).scores is None
    assert release_before(tmp_path / "releases", "mine", "1.0.1").scores is None


@pytest.mark.parametrize(
    "metrics", [None, "", "[]", "{}", '{"training": {}}', '{"training": {"name": "a", "dataset": "b", "facts": 1}}']
)
def test_another_tarball_is_one_line(tmp_path, metrics):
    members = {"config.json": b"{}"} | ({} if metrics is None else {"metrics.json": metrics.encode()})
    pack_archive(members, tmp_path / "x.tar.gz")
    with pytest.raises(ReleaseError, match=r"x\.tar\.gz: does not say how it was trained .* give a tarball") as error:
        TrainingRecord.of_release(tmp_path / "x.tar.gz")
    assert "\n" not in str(error.value)
