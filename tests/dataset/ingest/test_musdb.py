import os
import shutil

import musdb
import numpy as np
import pytest
import soundfile

from sepcore.config import ModelConfig
from sepcore.dataset.ingest.musdb import check_instruments, ingest_musdb, ingest_track, list_tracks
from sepcore.dataset.manifest import load_manifest
from sepcore.dataset.synthetic import write_dataset
from sepcore.errors import DatasetError

FOUR_STEMS = ModelConfig(instruments=("vocals", "drums", "bass", "other"))
TWO_STEMS = ModelConfig(instruments=("vocals", "accompaniment"))


@pytest.fixture(scope="module")
def hq(tmp_path_factory):
    """A made-up set of wav folders: two training songs, one of validation, one of test."""
    root = tmp_path_factory.mktemp("hq")
    write_dataset(root, num_train=2, num_validation=1, num_test=1, duration_s=1, seed=2)
    return root


@pytest.fixture(scope="module")
def tracks(hq):
    return list_tracks(hq)


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


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def modified(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}


def test_songs_are_listed_by_split_with_the_validation_tracks_of_mus_yaml(tracks):
    assert [track.split for track in tracks] == ["train", "train", "validation", "test"]
    assert dict(tracks[0].targets).keys() == {"vocals", "drums", "bass", "other", "accompaniment", "linear_mixture"}


def test_wav_files_of_the_right_rate_are_used_where_they_lie(hq, tmp_path):
    manifests = ingest_musdb(hq, tmp_path, FOUR_STEMS)
    rows = {split: load_manifest(path, FOUR_STEMS) for split, path in manifests.items()}
    assert [len(rows[split]) for split in ("train", "validation", "test")] == [2, 1, 1]
    row = rows["train"][0]
    assert row.mixture == hq / "train" / row.name / "mixture.wav"
    assert [(name, path.name) for name, path in row.stems][:2] == [("vocals", "vocals.wav"), ("drums", "drums.wav")]
    assert row.duration_s == 1
    assert not (tmp_path / "audio").exists()


def test_the_accompaniment_is_the_exact_sum_of_the_others(tracks, tmp_path):
    track = tracks[0]
    row = ingest_track(track, tmp_path, TWO_STEMS)
    accompaniment = dict(row.stems)["accompaniment"]
    assert accompaniment == tmp_path / "audio" / "train" / track.name / "accompaniment.wav"
    assert soundfile.info(accompaniment).subtype == "FLOAT"
    parts = [read(row.mixture.with_name(f"{name}.wav")) for name in ("drums", "bass", "other")]
    np.testing.assert_array_equal(read(accompaniment), sum(parts))


def test_files_of_another_rate_or_number_of_channels_are_converted(tracks, tmp_path):
    config = ModelConfig(instruments=("drums", "vocals"), sample_rate=16000, num_channels=1)
    row = ingest_track(tracks[0], tmp_path, config)
    assert [name for name, _ in row.stems] == ["drums", "vocals"]
    for path in row.files:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert info.duration == pytest.approx(1, abs=1e-3)


def test_what_is_done_is_not_done_again(tracks, tmp_path):
    track = tracks[0]
    first = ingest_track(track, tmp_path, TWO_STEMS)
    before = modified(tmp_path)
    assert ingest_track(track, tmp_path, TWO_STEMS) == first
    assert modified(tmp_path) == before


def test_a_changed_recording_is_decoded_again(hq, tmp_path):
    root = shutil.copytree(hq, tmp_path / "set")
    track = list_tracks(root)[0]
    ingest_track(track, tmp_path, TWO_STEMS)
    before = modified(tmp_path / "audio")
    drums = track.mixture.path.with_name("drums.wav")
    os.utime(drums, ns=(0, 0))
    ingest_track(list_tracks(root)[0], tmp_path, TWO_STEMS)
    after = modified(tmp_path / "audio")
    assert before.keys() == after.keys()
    assert before != after


def test_another_rate_replaces_the_files_of_the_first(tracks, tmp_path):
    track = tracks[0]
    ingest_track(track, tmp_path, TWO_STEMS)
    row = ingest_track(track, tmp_path, TWO_STEMS.model_copy(update={"sample_rate": 22050}))
    assert {soundfile.info(path).samplerate for path in row.files} == {22050}


def test_a_stopped_ingest_goes_on_with_the_files_that_were_missing(tracks, tmp_path):
    config = TWO_STEMS.model_copy(update={"sample_rate": 22050})
    track = tracks[0]
    row = ingest_track(track, tmp_path, config)
    before = modified(tmp_path)
    row.stems[1][1].unlink()
    ingest_track(track, tmp_path, config)
    after = modified(tmp_path)
    assert [path for path in before if after[path] != before[path]] == [row.stems[1][1]]


def test_every_song_is_reported(hq, tracks, tmp_path):
    done = []
    ingest_musdb(hq, tmp_path, FOUR_STEMS, on_track=lambda track: done.append(track.name))
    assert done == [track.name for track in tracks]


def test_an_instrument_that_musdb_lacks_is_refused_with_those_it_has(tracks):
    config = ModelConfig(instruments=("vocals", "piano"))
    with pytest.raises(DatasetError, match="has no piano, which instrument_list asks for; musdb has vocals, drums"):
        check_instruments(tracks, config)


def test_a_folder_that_is_no_musdb_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="has no folder train or test"):
        list_tracks(tmp_path)


def test_a_set_without_songs_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DatasetError, match=r"no songs in train; looked for 'Artist - Title\.stem\.mp4'"):
        list_tracks(tmp_path)


def test_a_song_without_its_mixture_is_refused(hq, tmp_path):
    root = shutil.copytree(hq, tmp_path / "set")
    (track,) = (root / "test").iterdir()
    (track / "mixture.wav").unlink()
    with pytest.raises(DatasetError, match=r"mixture\.wav: there is no such file"):
        list_tracks(root)


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "A - B.stem.mp4").write_bytes(b"no mp4")
    with pytest.raises(DatasetError, match=r"musdb cannot read a file in it: .*Invalid data"):
        list_tracks(tmp_path)


@pytest.mark.shared
def test_the_real_musdb_sample_is_decoded_as_musdb_decodes_it(shared, tmp_path, caplog):
    root = shared / "musdb_sample"
    manifests = ingest_musdb(root, tmp_path, FOUR_STEMS)
    (row,) = load_manifest(manifests["train"], FOUR_STEMS)
    assert load_manifest(manifests["validation"], FOUR_STEMS) == load_manifest(manifests["test"], FOUR_STEMS) == []
    assert "the set has no validation songs" in caplog.text
    (track,) = musdb.DB(str(root), subsets="train")
    assert row.name == track.name
    for name, path in row.stems:
        np.testing.assert_allclose(read(path), track.targets[name].audio, atol=1.1 / 32768)


@pytest.mark.shared
def test_stem_files_with_their_own_mus_yaml_give_three_manifests(stems_root, tmp_path):
    manifests = ingest_musdb(stems_root, tmp_path / "out", TWO_STEMS)
    rows = {split: load_manifest(path, TWO_STEMS) for split, path in manifests.items()}
    assert [row.name for row in rows["validation"]] == ["Ada Holt - Lonely Ferry"]
    assert (len(rows["train"]), len(rows["test"])) == (2, 1)
    row = rows["test"][0]
    assert row.mixture == tmp_path / "out" / "audio" / "test" / row.name / "mixture.wav"
    assert row.duration_s == pytest.approx(30, abs=0.1)
    (track,) = musdb.DB(str(stems_root), subsets="test")
    accompaniment = track.targets["accompaniment"].audio
    np.testing.assert_allclose(read(dict(row.stems)["accompaniment"]), accompaniment, atol=4 / 32768)
