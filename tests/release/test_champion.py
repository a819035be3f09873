import json

import pytest

from sepcore.provider.archive import pack_archive
from sepcore.release.champion import release_before
from sepcore.release.finished_run import FinishedRun
from tests.release.publishing import publish_release


@pytest.fixture
def tarball(run_folder, tmp_path):
    return publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases").tarball


def test_the_release_below_is_the_highest_lower_version_of_that_model(tarball):
    releases = tarball.parents[1]
    for version, name in (("0.9.0", "mine"), ("1.0.0-rc.1", "mine"), ("1.1.0", "other"), ("notes", "mine")):
        (releases / version).mkdir()
        (releases / version / f"{name}.tar.gz").write_bytes(tarball.read_bytes())
    found = {
        version: release_before(releases, "mine", version) for version in ("2.0.0", "1.0.0", "1.0.0-rc.1", "0.9.0")
    }
    assert {version: one and one.version for version, one in found.items()} == {
        "2.0.0": "1.0.0",
        "1.0.0": "1.0.0-rc.1",
        "1.0.0-rc.1": "0.9.0",
        "0.9.0": None,
    }


def test_a_release_of_an_older_version_of_this_project_counts_too(tmp_path, run_folder):
    (tmp_path / "releases" / "1.0.0").mkdir(parents=True)
    scores = (run_folder / "scores.json").read_bytes()
    pack_archive({"metrics.json": scores}, tmp_path / "releases" / "1.0.0" / "mine.tar.gz")
    assert release_before(tmp_path / "releases", "mine", "1.0.1").scores == FinishedRun.load(run_folder).scores
    assert json.loads(scores)["stems"]
