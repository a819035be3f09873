import csv
from pathlib import Path

import pytest

from sepcore.dataset.ingest.audio import prepare_song
from sepcore.dataset.ingest.manifests import claim_manifests, left_out_file, write_manifests
from sepcore.dataset.ingest.plan import plan_ingest
from sepcore.dataset.ingest.songs import list_folder_songs
from sepcore.dataset.ingest.targets import LeftOut
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from tests.dataset.ingest.conftest import TWO_STEMS, ingest, write_song
from tests.raised import raises

ROW = TrackRow("A", Path("/a/mixture.wav"), (("vocals", Path("/a/v.wav")), ("accompaniment", Path("/a/a.wav"))), 1.5)
BAD = LeftOut("B, C", "has no vocals (it has drums)", "Name the recordings so.")


def test_a_split_without_songs_gets_a_manifest_without_rows_and_a_warning(tmp_path, caplog):
    manifests = write_manifests({"train": [ROW]}, [], tmp_path, TWO_STEMS)
    assert manifests == {split: tmp_path / f"{split}.csv" for split in ("train", "validation", "test")}
    header = "mix_path,vocals_path,accompaniment_path,duration\n"
    assert manifests["train"].read_text() == header + "/a/mixture.wav,/a/v.wav,/a/a.wav,1.500000\n"
    assert manifests["test"].read_text() == header
    assert "validation.csv: the set has no validation songs" in caplog.text


def test_songs_that_were_left_out_are_listed_until_they_are_mended(tmp_path):
    write_manifests({"train": [ROW]}, [BAD], tmp_path, TWO_STEMS)
    with left_out_file(tmp_path).open(newline="") as file:
        assert list(csv.reader(file)) == [["song", "reason", "cure"], [BAD.song, BAD.reason, BAD.cure]]
    write_manifests({"train": [ROW]}, [], tmp_path, TWO_STEMS)
    assert not left_out_file(tmp_path).exists()


def test_without_any_song_nothing_is_written(tmp_path):
    with raises(DatasetError, BAD.song, BAD.reason, hint=BAD.cure):
        write_manifests({"train": [], "test": []}, [BAD], tmp_path / "out", TWO_STEMS)
    assert not (tmp_path / "out").exists()


# What somebody else wrote there, or edited

SPLIT = {"split": "fraction", "validation_fraction": 0.3, "test_fraction": 0}
NAMES = ["train.csv", "validation.csv", "test.csv", "left_out.csv"]


@pytest.fixture
def songs(tmp_path):
    """Three songs of which files have to be made."""
    for name in "ABC":
        write_song(tmp_path / "set" / name, "vocals.wav", "drums.wav", "bass.wav", seconds=0.1)
    return list_folder_songs(tmp_path / "set")


def plan_of(songs, **split):
    return plan_ingest(songs, TWO_STEMS, **(SPLIT | split))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(songs, out, name):
    before = contents(out)
    with raises(DatasetError, name, path=out, hint="--overwrite"):
        claim_manifests(out, plan_of(songs), TWO_STEMS)
    with raises(DatasetError, name, path=out, hint="--overwrite"):
        write_manifests({"train": [ROW]}, [BAD], out, TWO_STEMS)
    assert contents(out) == before


@pytest.mark.parametrize("ingested", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "mine\n", "mix_path,vocals_path,accompaniment_path,duration\na,b,c,1\n"])
def test_a_file_that_no_ingest_wrote_or_somebody_edited_is_refused_before_any_work(
    songs, tmp_path, name, text, ingested
):
    out = tmp_path / "out"
    out.mkdir()
    if ingested:
        write_manifests({"train": [ROW]}, [BAD], out, TWO_STEMS)
    (out / name).write_text(text)
    assert_refused(songs, out, name)
    write_manifests({"train": [ROW]}, [BAD], out, TWO_STEMS, overwrite=True)
    claim_manifests(out, plan_of(songs), TWO_STEMS)


@pytest.mark.parametrize("ingested", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_an_edited_file_that_was_replaced_and_is_brought_back_is_the_users_again(songs, tmp_path, name, ingested):
    out = tmp_path / "out"
    out.mkdir()
    if ingested:
        write_manifests({"train": [ROW]}, [BAD], out, TWO_STEMS)
    (out / name).write_text("mine\n")
    write_manifests({"train": [ROW]}, [BAD], out, TWO_STEMS, overwrite=True)
    (out / name).write_text("mine\n")
    assert_refused(songs, out, name)


def test_a_link_is_neither_followed_nor_replaced(songs, tmp_path):
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test.csv").symlink_to(tmp_path / "mine.csv")
    assert_refused(songs, tmp_path / "out", "test.csv")


def test_what_an_ingest_wrote_is_replaced_by_the_next_whatever_it_splits(songs, tmp_path):
    out = tmp_path / "out"
    for fraction in (0.3, 0.3, 0.6):
        claim_manifests(out, plan_of(songs, validation_fraction=fraction), TWO_STEMS)
        ingest(songs, out, TWO_STEMS, **SPLIT | {"validation_fraction": fraction})
    assert (out / "validation.csv").read_text().count("\n") == 3


def test_the_manifests_of_a_version_that_kept_no_record_are_known_by_what_the_finished_songs_give(songs, tmp_path):
    out, no_split = tmp_path / "out", SPLIT | {"validation_fraction": 0}
    for some in (songs[:2], songs):  # the third song is new
        claim_manifests(out, plan_of(songs, **no_split), TWO_STEMS)
        ingest(some, out, TWO_STEMS, **no_split)
        (out / ".ingest.json").unlink()
    rows = (out / "train.csv").read_text().splitlines(keepends=True)
    (out / "train.csv").write_text("".join(rows[:-1]))
    with raises(DatasetError, "train.csv", path=out):
        claim_manifests(out, plan_of(songs, **no_split), TWO_STEMS)


def test_an_ingest_that_was_killed_while_it_wrote_the_manifests_knows_old_and_new_ones(songs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_manifests({"train": [ROW]}, [], out, TWO_STEMS)
    written = []

    def killed(path, text):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path.write_text(text))

    monkeypatch.setattr("sepcore.dataset.ingest.manifests.write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        write_manifests({"validation": [ROW]}, [BAD], out, TWO_STEMS)
    monkeypatch.undo()
    claim_manifests(out, plan_of(songs), TWO_STEMS)
    write_manifests({"test": [ROW]}, [], out, TWO_STEMS)


def test_a_recording_of_the_set_is_not_replaced_by_what_is_made_of_it(tmp_path):
    write_song(tmp_path / "audio" / "A", "vocals.wav", "accompaniment.wav", rate=48000, seconds=0.1)
    before = contents(tmp_path)
    (song,) = list_folder_songs(tmp_path / "audio")
    with raises(DatasetError, path=tmp_path / "audio" / "A" / "vocals.wav", hint="--out"):
        prepare_song(song, tmp_path, TWO_STEMS)
    assert contents(tmp_path) == before
