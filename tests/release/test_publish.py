import errno
import hashlib
import json
import os
import re
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sepcore.config.load import load_config
from sepcore.dataset.manifest import manifest_name
from sepcore.errors import GateRefused, ReleaseError
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import file_sha256
from sepcore.provider.resolve import locate_model
from sepcore.release.gate import Champion, judge_run
from sepcore.release.publish import publish_candidates
from sepcore.release.training_record import ReleasableRun, TrainingRecord
from tests.raised import raises
from tests.release.conftest import summary
from tests.release.publishing import publish_release


@pytest.fixture
def releases(tmp_path):
    return tmp_path / "releases"


@pytest.fixture
def publish(run_folder, releases):
    """Publish the run; the tarball."""
    defaults = {"version": "1.0.0", "releases": releases}
    return lambda **options: publish_release(run_folder, **{**defaults, **options}).tarball


def contents(tarball):
    with tarfile.open(tarball) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_a_release_is_a_tarball_with_its_checksum_beside_it(publish, releases):
    tarball = publish()
    assert tarball == releases / "1.0.0" / "mine.tar.gz"
    checksums = json.loads((releases / "1.0.0" / "checksum.json").read_text())
    assert checksums == {"mine": hashlib.sha256(tarball.read_bytes()).hexdigest()}


def test_the_tarball_holds_all_that_a_user_needs_at_its_root(publish, run_folder):
    members = contents(publish())
    assert sorted(members) == [
        "checkpoint",
        "config.json",
        "metrics.json",
        "model.data-00000-of-00001",
        "model.index",
        "model_card.md",
    ]
    for name in ("model.index", "model.data-00000-of-00001"):
        assert members[name] == (run_folder / "model" / name).read_bytes()
    metrics = json.loads(members["metrics.json"])
    assert metrics.pop("training") == json.loads((run_folder / "done.json").read_text())
    assert metrics == json.loads((run_folder / "scores.json").read_text())
    assert members["model_card.md"].startswith(b"# mine 1.0.0\n")


def test_no_license_is_made_up_that_nobody_chose(publish):
    members = contents(publish())
    assert not [name for name in members if "licen" in name.lower()]
    assert b"Unknown: the publisher has not stated a license for these weights." in members["model_card.md"]
    assert not [name for name, content in members.items() if re.search(rb"\bMIT\b", content)]


def test_nothing_in_it_leads_to_the_machine_that_trained(publish, tmp_path):
    members = contents(publish())
    assert members["checkpoint"].startswith(b'model_checkpoint_path: "model"\n')
    for content in members.values():
        assert b"/data/" not in content
        assert b"/home/" not in content
        assert bytes(tmp_path) not in content


def test_its_config_is_the_runs_with_its_own_model_dir(publish, run_folder, tmp_path):
    (tmp_path / "config.json").write_bytes(contents(publish())["config.json"])
    released = load_config(tmp_path / "config.json")
    assert released.model_dir == "mine"
    assert released.fingerprint() == load_config(run_folder).fingerprint()


def test_a_release_is_found_by_path_and_by_name_in_model_path(publish, releases, monkeypatch):
    tarball = publish()
    monkeypatch.setenv("MODEL_PATH", str(releases / "1.0.0"))
    for descriptor in (tarball, "mine"):
        found = locate_model(descriptor)
        assert found.config.model_dir == "mine"
        assert (found.folder / "model.index").read_bytes() == b"index"


def test_the_same_run_gives_the_same_bytes_anywhere_and_at_any_time(publish, run_folder, tmp_path):
    elsewhere = tmp_path / "elsewhere" / run_folder.name
    shutil.copytree(run_folder, elsewhere)
    os.utime(elsewhere / "model" / "model.index", (1, 1))
    again = publish_release(elsewhere, version="1.0.0", releases=tmp_path / "other").tarball
    assert again.read_bytes() == publish().read_bytes()


def test_publishing_the_same_again_is_a_quiet_success(publish):
    first = publish().read_bytes()
    assert publish().read_bytes() == first


def test_a_version_is_never_overwritten(publish, run_folder, releases):
    before = publish().read_bytes()
    (run_folder / "model" / "model.index").write_bytes(b"other weights")
    with raises(ReleaseError, path=releases / "1.0.0" / "mine.tar.gz", hint="version"):
        publish()
    assert (releases / "1.0.0" / "mine.tar.gz").read_bytes() == before
    assert publish(version="1.0.1").read_bytes() != before


def test_a_published_checksum_is_kept_to_when_its_tarball_is_gone(publish, run_folder, releases):
    publish().unlink()
    (run_folder / "model" / "model.index").write_bytes(b"other weights")
    with raises(ReleaseError, path=releases / "1.0.0" / "mine.tar.gz", hint="version"):
        publish()


def test_a_release_cut_off_before_its_checksum_is_completed_by_the_next_run(publish, releases):
    publish()
    (releases / "1.0.0" / "checksum.json").unlink()
    publish()
    assert list(json.loads((releases / "1.0.0" / "checksum.json").read_text())) == ["mine"]


def test_several_models_share_a_release_also_when_published_at_once(publish, releases):
    names = [f"model{i}" for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        tarballs = list(pool.map(lambda name: publish(name=name), names))
    checksums = json.loads((releases / "1.0.0" / "checksum.json").read_text())
    assert checksums == {
        name: hashlib.sha256(tarball.read_bytes()).hexdigest() for name, tarball in zip(names, tarballs, strict=True)
    }


@pytest.mark.parametrize(
    "version", ["1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "latest", "", "../1.0.0", "1.0.0\n"]
)
def test_a_version_must_be_semantic(publish, releases, version):
    with raises(ReleaseError, repr(version), hint="1.2.0"):
        publish(version=version)
    assert not releases.exists()


def test_a_prerelease_is_a_version(publish, releases):
    assert publish(version="2.0.0-rc.1").parent == releases / "2.0.0-rc.1"


@pytest.mark.parametrize("name", ["", "../mine", "a/b", ".hidden"])
def test_a_name_must_be_a_file_name(publish, name):
    with raises(ReleaseError, f"name is {name!r}", hint="letters"):
        publish(name=name)


# Several runs at once


@pytest.fixture
def runs(run_folder, tmp_path):
    """Two finished runs."""
    second = tmp_path / "runs" / "second-0123456789ab"
    shutil.copytree(run_folder, second)
    (second / "done.json").write_text((second / "done.json").read_text().replace('"mine"', '"second"'))
    return [run_folder, second]


def publish_all(runs, releases, version="1.0.0", **options):
    judged = [judge_run(run, version=version, releases=releases) for run in runs]
    return publish_candidates(judged, releases, **options)


def snapshot(folder):
    return {path.relative_to(folder).as_posix(): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def spoil_bytes(run, releases):
    publish_all([run], releases)
    (run / "model" / "model.index").write_bytes(b"other weights")


def spoil_name(run, releases):
    (run / "done.json").write_text((run / "done.json").read_text().replace('"second"', '"mine"'))


def spoil_file(run, releases):
    (run / "model" / "model.index").unlink()
    (run / "model" / "model.index").mkdir()


def spoil_gate(run, releases):
    score(run, vocals=(-4.0, -3.0), accompaniment=(8.0, 3.0))


@pytest.mark.parametrize(
    ("spoil", "kind", "named"),
    [
        (spoil_gate, GateRefused, "vocals (-4.00 dB, mixture -3.00 dB)"),
        (spoil_bytes, ReleaseError, "other content"),
        (spoil_name, ReleaseError, "mine 1.0.0"),
        (spoil_file, ReleaseError, "checkpoint"),
    ],
)
def test_of_several_runs_all_are_published_or_none_is(runs, releases, spoil, kind, named):
    spoil(runs[1], releases)
    before = snapshot(releases)
    with raises(kind, named):
        publish_all(runs, releases)
    assert snapshot(releases) == before


def test_nothing_is_published_before_the_last_check_has_seen_all(runs, releases):
    seen = {}

    def refuse(staged):
        seen.update({name: file_sha256(archive.path) == archive.sha256 for name, archive in staged.items()})
        raise ReleaseError("no")

    with raises(ReleaseError, "no"):
        publish_all(runs, releases, check=refuse)
    assert seen == {"mine": True, "second": True}
    assert not releases.exists()
    published = publish_all(runs, releases)
    checksums = json.loads((releases / "1.0.0" / "checksum.json").read_text())
    assert (
        checksums
        == {one.name: one.sha256 for one in published}
        == {one.name: file_sha256(one.tarball) for one in published}
    )


# What is not published


def test_an_unfinished_run_is_refused(publish, run_folder):
    (run_folder / "done.json").unlink()
    with raises(ReleaseError, "done.json", path=run_folder, hint="training"):
        publish()


def test_a_folder_that_is_no_run_is_refused(tmp_path, releases):
    with raises(ReleaseError, "config.json", path=tmp_path):
        publish_release(tmp_path, version="1.0.0", releases=releases)


def test_a_run_without_a_whole_checkpoint_is_refused(publish, run_folder):
    (run_folder / "model" / "model.data-00000-of-00001").unlink()
    with raises(ReleaseError, "checkpoint", path=run_folder / "model", hint="training"):
        publish()


@pytest.mark.parametrize("folder", ["my\tsongs", "my\udcffsongs", "my\nsongs"])
def test_a_run_is_published_whatever_the_folder_of_its_songs_is_called(run_folder, tmp_path, folder):
    done, scores = (json.loads((run_folder / name).read_text()) for name in ("done.json", "scores.json"))
    done |= {
        "facts": done["facts"] | {"manifest": f"{folder}/train.csv"},
        "data": {"train_csv": f"/{folder}/train.csv"},
    }
    (run_folder / "done.json").write_text(json.dumps(done))
    (run_folder / "scores.json").write_text(json.dumps(scores | {"dataset": f"{folder}/test.csv"}))
    assert ReleasableRun.load(run_folder).record.data == done["data"]
    tarball = publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases").tarball
    released = TrainingRecord.of_release(tarball)
    shown = manifest_name(Path("/", folder, "train.csv"))
    assert (released.facts["manifest"], released.facts["manifest"].isprintable()) == (shown, True)
    assert released.scores.dataset == shown.replace("train", "test")


@pytest.mark.parametrize("file", ["done.json", "scores.json"])
@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_damaged_run_is_one_line(publish, run_folder, file, text):
    (run_folder / file).write_text(text)
    with raises(ReleaseError, path=run_folder / file, hint="training command") as error:
        publish()
    assert "\n" not in str(error.value)


def test_a_model_that_does_not_beat_the_mixture_is_refused_and_nothing_is_written(publish, run_folder, releases):
    (run_folder / "scores.json").write_text(summary(vocals=(-4.0, -3.0), accompaniment=(8.0, 3.0)).to_json())
    with raises(GateRefused, "vocals (-4.00 dB, mixture -3.00 dB)"):
        publish()
    assert not releases.exists()


def test_a_model_that_was_never_scored_is_refused(publish, run_folder):
    (run_folder / "scores.json").unlink()
    with raises(GateRefused, run_folder.name, "scores.json", hint="--force"):
        publish()


def score(run_folder, **scores):
    (run_folder / "scores.json").write_text(summary(**scores).to_json())


@pytest.mark.parametrize(
    ("before", "now", "passes"),
    [
        ("1.0.0", (4.95, 8.0), True),
        ("1.0.0", (4.85, 9.0), False),
        ("1.0.0-rc.1", (4.85, 9.0), False),
        ("2.0.0", (4.0, 9.0), True),
    ],
)
def test_a_model_worse_than_the_release_below_it_is_refused(publish, run_folder, releases, before, now, passes):
    publish(version=before)
    score(run_folder, vocals=(now[0], -3.0), accompaniment=(now[1], 3.0))
    if passes:
        assert publish(version="1.1.0").is_file()
        return
    with raises(GateRefused, f"champion {before}", f"vocals (4.85 dB, {before} has 5.00 dB)", hint="--margin"):
        publish(version="1.1.0")
    assert not (releases / "1.1.0").exists()
    assert publish(version="1.1.0", margin_db=0.2).is_file()


def test_a_version_published_again_does_not_meet_those_that_came_after(publish, run_folder):
    first = publish().read_bytes()
    scores = (run_folder / "scores.json").read_bytes()
    score(run_folder, vocals=(6.0, -3.0), accompaniment=(9.0, 3.0))
    publish(version="1.1.0")
    (run_folder / "scores.json").write_bytes(scores)
    assert publish().read_bytes() == first


def test_a_champion_that_is_named_counts_instead_of_the_folders(publish):
    publish()
    champion = Champion("0.9.0", summary(vocals=(7.0, -3.0), accompaniment=(8.0, 3.0)))
    with raises(GateRefused, "champion 0.9.0", "vocals (5.00 dB, 0.9.0 has 7.00 dB)"):
        publish(version="1.1.0", champion=champion)


def test_a_release_before_it_that_cannot_be_read_is_one_line(publish, releases):
    publish().write_bytes(b"damaged")
    with raises(ReleaseError, path=releases / "1.0.0" / "mine.tar.gz", hint="remove"):
        publish(version="1.1.0")


def test_a_release_before_it_with_damaged_scores_is_one_line(publish, releases):
    tarball = publish()
    pack_archive({"metrics.json": b'{"stems": 1}'}, tarball)
    with raises(ReleaseError, "metrics.json", path=tarball, hint="remove"):
        publish(version="1.1.0")


def test_what_a_killed_publishing_left_goes_with_the_next(publish, releases):
    (releases / "1.0.0").mkdir(parents=True)
    (releases / "1.0.0" / ".tmp-999999999-0123abcd.gz").touch()
    publish()
    assert sorted(path.name for path in releases.rglob("*")) == ["1.0.0", "checksum.json", "mine.tar.gz"]


def test_force_publishes_against_the_gate_and_the_card_says_so(publish, run_folder):
    (run_folder / "scores.json").write_text(summary(vocals=(-4.0, -3.0)).to_json())
    card = contents(publish(force=True))["model_card.md"]
    assert b"against the gate (forced): release refused: SDR on SynthMUS test" in card
    assert b"--force" not in card


def test_force_publishes_a_model_without_scores(publish, run_folder):
    (run_folder / "scores.json").unlink()
    members = contents(publish(force=True))
    assert list(json.loads(members["metrics.json"])) == ["training"]
    assert b"Never scored." in members["model_card.md"]


def test_a_folder_that_cannot_be_written_is_one_line(publish, tmp_path):
    (tmp_path / "file").touch()
    with raises(ReleaseError, os.strerror(errno.ENOTDIR), path=tmp_path / "file" / "1.0.0", hint="--releases") as error:
        publish(releases=tmp_path / "file")
    assert error.value.errno == errno.ENOTDIR
