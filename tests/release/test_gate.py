import json
import math
from dataclasses import replace

import pytest

from sepcore.errors import GateRefused
from sepcore.evaluation.scores import MadeFrom
from sepcore.provider.archive import pack_archive
from sepcore.release.gate import Champion, check_gate, release_before
from sepcore.release.training_record import ReleasableRun
from tests.raised import raises
from tests.release.conftest import summary
from tests.release.publishing import publish_release

BEFORE = Champion("1.0.0", summary(vocals=(5.0, 0.0), drums=(4.0, 0.0)))


def check(champion=None, instruments=None, margin_db=0.1, **scores):
    check_gate(summary(**scores), instruments or [*scores], champion, margin_db=margin_db)


def test_a_model_that_beats_the_mixture_in_every_stem_passes():
    check(vocals=(0.1, 0.0), drums=(-3.0, -5.0))


@pytest.mark.parametrize("sdr", [0.0, -1.0, math.nan])
def test_a_stem_that_is_not_better_than_the_mixture_is_named_and_the_others_are_not(sdr):
    named = ("SynthMUS test", "mixture", f"drums ({sdr:.2f} dB, mixture 0.00 dB)")
    with raises(GateRefused, *named, hint="--force") as error:
        check(vocals=(5.0, 0.0), drums=(sdr, 0.0))
    assert "vocals" not in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 1


def test_a_model_without_a_scored_stem_is_refused():
    with raises(GateRefused, "any stem", hint="--force"):
        check_gate(summary(), [])


def test_a_stem_of_the_model_that_was_never_scored_is_refused():
    with raises(GateRefused, "bass", hint="--force") as error:
        check(instruments=["vocals", "bass"], vocals=(5.0, 0.0))
    assert "vocals" not in str(error.value)


def test_a_model_as_good_as_the_champion_within_the_margin_passes():
    check(BEFORE, vocals=(4.91, 0.0), drums=(9.0, 0.0))
    check(BEFORE, margin_db=1, vocals=(4.1, 0.0), drums=(3.1, 0.0), bass=(0.1, 0.0))


def test_a_stem_below_the_champions_by_more_is_named():
    with raises(
        GateRefused, "0.1 dB", "champion 1.0.0", "drums (3.89 dB, 1.0.0 has 4.00 dB)", hint="--margin"
    ) as error:
        check(BEFORE, vocals=(4.91, 0.0), drums=(3.89, 0.0))
    assert "vocals" not in str(error.value)


def test_a_stem_that_the_champion_has_alone_is_named():
    with raises(GateRefused, "champion 1.0.0", "drums", hint="--force") as error:
        check(BEFORE, vocals=(6.0, 0.0))
    assert "vocals" not in str(error.value)


def test_a_stem_that_the_champion_could_not_score_says_nothing():
    check(Champion("1.0.0", summary(vocals=(math.nan, 0.0))), vocals=(0.1, 0.0))


def test_another_test_set_is_refused():
    other = summary(vocals=(5.0, 0.0))
    other = type(other)("MUSDB18 test", 50, 0, other.stems)
    named = ("SynthMUS test (6 songs)", "champion 1.0.0", "MUSDB18 test (50 songs)")
    with raises(GateRefused, *named, hint="--force"):
        check(Champion("1.0.0", other), vocals=(9.0, 0.0))


def of_songs(songs, dataset="SynthMUS test"):
    scores = summary(vocals=(5.0, 0.0))
    return replace(scores, dataset=dataset, made_from=MadeFrom("a model", songs))


def test_a_test_set_is_known_by_its_songs_not_by_its_name():
    champion = Champion("1.0.0", of_songs("these"))
    check_gate(of_songs("these", "renamed"), ["vocals"], champion)
    with raises(GateRefused, "champion 1.0.0", "SynthMUS test (6 songs)", "other songs"):
        check_gate(of_songs("others"), ["vocals"], champion)
    # Of scores of an earlier version there is but the name.
    check_gate(replace(of_songs("these"), made_from=None), ["vocals"], champion)


def test_a_stem_that_is_silent_where_it_should_not_be_is_refused():
    scores = summary(vocals=(5.0, 0.0), drums=(5.0, 0.0))
    scores.stems["drums"] = replace(scores.stems["drums"], num_silent=2)
    with raises(GateRefused, "drums (silent in 2 of 6 songs)") as error:
        check_gate(scores, ["vocals", "drums"])
    assert "vocals" not in str(error.value)


def test_a_champion_without_scores_is_beaten():
    check(Champion("1.0.0", None), vocals=(0.1, 0.0))


# The champion


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
    assert release_before(tmp_path / "releases", "mine", "1.0.1").scores == ReleasableRun.load(run_folder).scores
    assert json.loads(scores)["stems"]
