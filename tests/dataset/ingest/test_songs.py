import shutil

import musdb
import numpy as np
import pytest

from sepcore.dataset.ingest.audio import prepare_song
from sepcore.dataset.ingest.songs import list_folder_songs, list_musdb_songs
from sepcore.errors import AudioDecodeError, DatasetError
from tests.dataset.ingest.conftest import FOUR_STEMS, TWO_STEMS, ingest, read
from tests.raised import raises


def touch(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def listed(root):
    return {song.name: [name for name, _ in song.recordings] for song in list_folder_songs(root)}


def test_a_song_is_a_folder_and_its_recordings_are_named_as_its_files(tmp_path):
    touch(tmp_path, "A - B/mixture.wav", "A - B/vocals.flac", "C/Lead Vocals.MP3", "C/DRUMS.m4a")
    assert listed(tmp_path) == {"A - B": ["mixture", "vocals"], "C": ["drums", "lead vocals"]}


def test_hidden_files_and_those_that_are_no_audio_are_passed_over(tmp_path):
    noise = ["song.json", "notes.txt", "cover.jpg", "mus.yaml", "._vocals.wav", ".hidden.wav", "Thumbs.db", "x.mid"]
    touch(
        tmp_path, "A/vocals.wav", *(f"A/{name}" for name in noise), ".cache/vocals.wav", "pictures/cover.jpg", "x.wav"
    )
    assert listed(tmp_path) == {"A": ["vocals"]}


def test_folders_named_as_splits_give_the_set_a_split_of_its_own(tmp_path):
    touch(tmp_path, "train/A/vocals.wav", "Valid/B/vocals.wav", "validation/C/vocals.wav", "test/D/vocals.wav")
    touch(tmp_path, "E/vocals.wav")
    assert {song.name: (song.subset, song.own_split) for song in list_folder_songs(tmp_path)} == {
        "A": ("train", "train"),
        "B": ("Valid", "validation"),
        "C": ("validation", "validation"),
        "D": ("test", "test"),
        "E": ("", None),
    }


def test_a_song_may_be_called_as_a_split(tmp_path):
    touch(tmp_path, "Train/vocals.wav", "Train/drums.wav")
    (song,) = list_folder_songs(tmp_path)
    assert (song.name, song.subset, song.own_split) == ("Train", "", None)


def test_names_are_compared_without_case_and_ways_of_writing_accents(tmp_path):
    touch(tmp_path, "A/Ba\u0308sse.wav")
    assert listed(tmp_path) == {"A": ["b\u00e4sse".casefold()]}


def test_a_folder_without_songs_is_refused_with_what_was_looked_for(tmp_path):
    touch(tmp_path, "vocals.wav", "deep/deeper/deepest/vocals.wav")
    with raises(DatasetError, path=tmp_path, hint="<song>/<instrument>.wav"):
        list_folder_songs(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with raises(DatasetError, "no such folder", path=tmp_path / "nowhere"):
        list_folder_songs(tmp_path / "nowhere")


def test_musdb18_is_sent_to_its_own_option(tmp_path):
    touch(tmp_path, "train/A - B.stem.mp4")
    with raises(DatasetError, ".stem.mp4", path=tmp_path, hint="--musdb-root"):
        list_folder_songs(tmp_path)


@pytest.fixture
def stems_root(shared, tmp_path):
    """Two songs of training, one of validation, one of test as ``.stem.mp4``, with the set's own mus.yaml."""
    whole = shared / "data" / "synthmus"
    root = tmp_path / "synthmus"
    for name in (
        "train/Ulla Pell - Electric Kite",
        "train/Per Rowe - Crimson Mirror",
        "train/Ada Holt - Lonely Ferry",
        "test/Joss Holt - Tidal Bridge",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.stem.mp4").symlink_to(whole / f"{name}.stem.mp4")
    shutil.copy(whole / "mus.yaml", root)
    return root


def test_songs_are_listed_by_split_with_the_validation_tracks_of_mus_yaml(hq):
    songs = list_musdb_songs(hq)
    assert [song.own_split for song in songs] == ["train", "train", "validation", "test"]
    assert [song.subset for song in songs] == ["train", "train", "train", "test"]
    assert [name for name, _ in songs[0].recordings] == ["mixture", "vocals", "drums", "bass", "other"]
    assert dict(songs[0].sums)["accompaniment"] == ("drums", "bass", "other")


def test_songs_are_what_musdb_itself_finds(hq):
    songs = list_musdb_songs(hq)
    found = musdb.DB(str(hq), setup_file="mus.yaml", is_wav=True)
    assert {(song.subset, song.name) for song in songs} == {(track.subset, track.name) for track in found}
    held_out = musdb.DB(str(hq), setup_file="mus.yaml", is_wav=True, subsets="train", split="valid")
    assert [song.name for song in songs if song.own_split == "validation"] == [track.name for track in held_out]


def test_without_mus_yaml_the_validation_tracks_are_musdb18s(tmp_path):
    for name in ("Leaf - Summerghost", "Somebody - Something", "._Leaf - Summerghost"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / f"{name}.stem.mp4").touch()
    assert [(song.name, song.own_split) for song in list_musdb_songs(tmp_path)] == [
        ("Somebody - Something", "train"),
        ("Leaf - Summerghost", "validation"),
    ]


def test_the_streams_of_a_stem_file_are_musdbs(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "A - B.stem.mp4").touch()
    (song,) = list_musdb_songs(tmp_path)
    streams = {name: recording.stream for name, recording in song.recordings}
    assert streams == {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}


def test_a_damaged_song_is_an_error_only_when_it_is_decoded(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "A - B.stem.mp4").write_bytes(b"no mp4")
    (song,) = list_musdb_songs(tmp_path)
    with raises(AudioDecodeError, "ffmpeg", path=tmp_path / "train" / "A - B.stem.mp4"):
        prepare_song(song, tmp_path / "out", FOUR_STEMS)
    assert not (tmp_path / "out").exists()


def test_a_song_without_its_mixture_gets_the_sum_of_its_stems(hq, tmp_path):
    root = shutil.copytree(hq, tmp_path / "set")
    (folder,) = (root / "test").iterdir()
    mixture = read(folder / "mixture.wav")
    (folder / "mixture.wav").unlink()
    (song,) = [song for song in list_musdb_songs(root) if song.subset == "test"]
    np.testing.assert_array_equal(read(prepare_song(song, tmp_path / "out", FOUR_STEMS).mixture), mixture)


def test_a_folder_that_is_no_musdb_is_refused(tmp_path):
    with raises(DatasetError, "train", "test", path=tmp_path, hint="MUSDB18"):
        list_musdb_songs(tmp_path)


def test_a_set_without_songs_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "train" / "notes").mkdir(parents=True)
    with raises(DatasetError, "train", path=tmp_path, hint="'Artist - Title.stem.mp4'"):
        list_musdb_songs(tmp_path)


@pytest.mark.parametrize("text", ["sources: [", "- a list", "sources: {vocals: vocals.wav}", ""])
def test_a_mus_yaml_that_is_none_of_musdbs_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "mus.yaml").write_text(text)
    with raises(DatasetError, path=tmp_path / "mus.yaml") as raised:
        list_musdb_songs(tmp_path)
    assert " ".join(str(raised.value.__cause__).split()) in raised.value.problem
    assert "\n" not in str(raised.value)


@pytest.mark.shared
def test_the_real_musdb_sample_is_decoded_as_musdb_decodes_it(shared, tmp_path, caplog):
    root = shared / "musdb_sample"
    rows = ingest(list_musdb_songs(root), tmp_path, FOUR_STEMS)
    (row,) = rows["train"]
    assert rows["validation"] == rows["test"] == []
    assert "the set has no validation songs" in caplog.text
    (track,) = musdb.DB(str(root), subsets="train")
    assert row.name == track.name
    for name, path in row.stems:
        np.testing.assert_allclose(read(path), track.targets[name].audio, atol=1.1 / 32768)


@pytest.mark.shared
def test_stem_files_with_their_own_mus_yaml_give_three_manifests(stems_root, tmp_path):
    rows = ingest(list_musdb_songs(stems_root), tmp_path / "out", TWO_STEMS)
    assert [row.name for row in rows["validation"]] == ["Ada Holt - Lonely Ferry"]
    assert (len(rows["train"]), len(rows["test"])) == (2, 1)
    (row,) = rows["test"]
    assert row.mixture == tmp_path / "out" / "audio" / "test" / row.name / "mixture.wav"
    assert row.duration_s == pytest.approx(30, abs=0.1)
    (track,) = musdb.DB(str(stems_root), subsets="test")
    accompaniment = track.targets["accompaniment"].audio
    np.testing.assert_allclose(read(dict(row.stems)["accompaniment"]), accompaniment, atol=4 / 32768)
