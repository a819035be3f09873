from pathlib import Path

import pytest

from sepcore.dataset.manifest import load_manifest, save_manifest
from sepcore.errors import DatasetError

HEADER = "mix_path,vocals_path,drums_path,duration\n"


@pytest.fixture
def audio(tmp_path):
    """Makes (empty) files: a manifest looks only whether they are there."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return make


@pytest.fixture
def csv_path(tmp_path):
    return tmp_path / "train.csv"


def test_paths_are_relative_to_the_csv(csv_path, tmp_path, config, audio):
    audio("a/song.wav", "a/v.wav", "a/d.wav")
    csv_path.write_text(HEADER + "a/song.wav,a/v.wav,a/d.wav,12.5\n")
    (row,) = load_manifest(csv_path, config)
    assert row.mixture == tmp_path / "a/song.wav"
    assert row.stems == (("vocals", tmp_path / "a/v.wav"), ("drums", tmp_path / "a/d.wav"))
    assert row.duration_s == 12.5


def test_paths_are_relative_to_the_data_folder_if_one_is_given(csv_path, tmp_path, config, audio):
    audio("data/m.wav", "data/v.wav", "data/d.wav")
    csv_path.write_text(HEADER + "m.wav,v.wav,d.wav,1\n")
    (row,) = load_manifest(csv_path, config, data_dir=tmp_path / "data")
    assert row.mixture == tmp_path / "data/m.wav"


def test_absolute_paths_stay(csv_path, tmp_path, config, audio):
    audio("m.wav", "v.wav", "d.wav")
    csv_path.write_text(HEADER + f"{tmp_path}/m.wav,{tmp_path}/v.wav,{tmp_path}/d.wav,1\n")
    (row,) = load_manifest(csv_path, config, data_dir=Path("elsewhere"))
    assert row.mixture == tmp_path / "m.wav"


def test_what_was_saved_is_loaded_again_and_files_below_the_csv_are_written_relative_to_it(
    csv_path, tmp_path, config, write_song
):
    rows = [write_song("one"), write_song("two", duration_s=1.234567)]
    save_manifest(csv_path, rows, config)
    assert load_manifest(csv_path, config) == rows
    assert csv_path.read_text().splitlines()[1].startswith("songs/one/mix.wav,")


def test_files_elsewhere_are_written_absolute(tmp_path, config, write_song):
    row = write_song("one")
    save_manifest(tmp_path / "manifests" / "train.csv", [row], config)
    assert load_manifest(tmp_path / "manifests" / "train.csv", config) == [row]


def test_columns_may_stand_in_any_order_beside_others(csv_path, config, audio):
    audio("m.wav", "v.wav", "d.wav")
    csv_path.write_text("genre,duration,drums_path,mix_path,vocals_path\nfolk,3,d.wav,m.wav,v.wav\n")
    (row,) = load_manifest(csv_path, config)
    assert [path.name for path in row.files] == ["m.wav", "v.wav", "d.wav"]


def test_a_byte_order_mark_and_umlauts_are_read(csv_path, config, audio):
    audio("Grün.wav", "v.wav", "d.wav")
    csv_path.write_text(HEADER + "Grün.wav,v.wav,d.wav,3\n", "utf-8-sig")
    assert load_manifest(csv_path, config)[0].name == "Grün"


def test_a_header_alone_lists_no_songs(csv_path, config):
    csv_path.write_text(HEADER)
    assert load_manifest(csv_path, config) == []


def test_songs_are_called_by_their_mixture_or_its_folder_and_no_two_alike(csv_path, config, audio):
    audio("v", "d", "Waltz.flac", "Blues/mixture.wav", "b/Blues/mix.wav", "b/Waltz.mp3")
    paths = ("Waltz.flac", "Blues/mixture.wav", "b/Blues/mix.wav", "b/Waltz.mp3")
    csv_path.write_text(HEADER + "".join(f"{path},v,d,1\n" for path in paths))
    assert [row.name for row in load_manifest(csv_path, config)] == ["Waltz", "Blues", "Blues (2)", "Waltz (2)"]


def test_a_missing_csv_is_refused(tmp_path, config):
    with pytest.raises(DatasetError, match=r"none\.csv: cannot be read as a manifest \(No such file"):
        load_manifest(tmp_path / "none.csv", config)


def test_a_file_that_is_no_text_is_refused(csv_path, config):
    csv_path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DatasetError, match="cannot be read as a manifest"):
        load_manifest(csv_path, config)


def test_missing_columns_are_named_with_those_that_are_there(csv_path, config):
    csv_path.write_text("mix_path,piano_path,length\n")
    with pytest.raises(DatasetError, match="vocals_path, drums_path, duration; it has mix_path, piano_path, length"):
        load_manifest(csv_path, config)


def test_rows_with_faults_are_named_and_many_are_counted(csv_path, config, audio):
    audio("m", "v", "d")
    csv_path.write_text(HEADER + "m,v,d,1\nm,,d,1\nm,v,gone.wav,1\n" + "m,v,d,soon\n" * 6)
    with pytest.raises(DatasetError, match=r"row 2: vocals_path is empty; row 3: drums_path: no file .*; and 3 more"):
        load_manifest(csv_path, config)


@pytest.mark.parametrize("duration", ["-1", "0", "nan", "inf", "soon", ""])
def test_an_impossible_duration_is_refused(csv_path, config, audio, duration):
    audio("m", "v", "d")
    csv_path.write_text(HEADER + f"m,v,d,{duration}\n")
    with pytest.raises(DatasetError, match=rf"row 1: duration is '{duration}', expected seconds > 0"):
        load_manifest(csv_path, config)
