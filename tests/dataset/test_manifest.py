import errno
import os
import re
from pathlib import Path

import pytest

from sepcore.dataset.manifest import (
    check_columns,
    load_manifest,
    manifest_signals,
    manifest_template,
    save_manifest,
    scan_manifest,
)
from sepcore.errors import DatasetError
from tests.raised import raises

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


@pytest.mark.parametrize("name", [" m.wav", "m.wav ", " folder/m.wav", "folder /m.wav", "  m.wav  "])
def test_a_file_is_found_whose_path_has_spaces_around_it(csv_path, tmp_path, config, audio, name):
    audio(name, "v.wav", "d.wav")
    csv_path.write_text(HEADER + f"{name}, v.wav ,d.wav , 3\n")  # others have spaces as people write them
    (row,) = load_manifest(csv_path, config)
    assert [path.relative_to(tmp_path).as_posix() for path in row.files] == [name, "v.wav", "d.wav"]
    audio(name.strip())
    assert load_manifest(csv_path, config) == [row]  # the name as it stands comes first
    save_manifest(csv_path, [row], config)
    assert load_manifest(csv_path, config) == [row]


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
    with raises(DatasetError, os.strerror(errno.ENOENT), path=tmp_path / "none.csv", hint="CSV") as raised:
        load_manifest(tmp_path / "none.csv", config)
    assert raised.value.errno == errno.ENOENT


def test_a_file_that_is_no_text_is_refused(csv_path, config):
    csv_path.write_bytes(b"\xff\xfe\x00\x01")
    with raises(DatasetError, "utf-8", path=csv_path, hint="UTF-8"):
        load_manifest(csv_path, config)


def test_missing_columns_are_named_with_those_that_are_there(csv_path, config):
    csv_path.write_text("mix_path,piano_path,length\n")
    named = ("vocals_path, drums_path, duration", "mix_path, piano_path, length")
    with raises(DatasetError, *named, path=csv_path, hint="mix_path, vocals_path, drums_path, duration"):
        load_manifest(csv_path, config)


def test_rows_with_faults_are_named_and_many_are_counted(csv_path, config, audio):
    audio("m", "v", "d")
    csv_path.write_text(HEADER + "m,v,d,1\nm,,d,1\nm,v,gone.wav,1\n" + "m,v,d,soon\n" * 6)
    named = ("row 2: vocals_path", "row 3: drums_path", csv_path.parent / "gone.wav", "row 6: duration", "3 more")
    with raises(DatasetError, *named, path=csv_path, hint="-d/--data") as raised:
        load_manifest(csv_path, config)
    assert "row 7" not in raised.value.problem


@pytest.mark.parametrize("duration", ["-1", "0", "nan", "inf", "soon", ""])
def test_an_impossible_duration_is_refused(csv_path, config, audio, duration):
    audio("m", "v", "d")
    csv_path.write_text(HEADER + f"m,v,d,{duration}\n")
    with raises(DatasetError, "row 1: duration", repr(duration), "seconds > 0", path=csv_path):
        load_manifest(csv_path, config)


def faults_of(csv_path, config, *rows):
    csv_path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return [(fault.number, fault.reason, fault.cure) for fault in scan_manifest(csv_path, config).faults]


def test_a_scan_gives_the_songs_by_their_numbers_and_the_faults_of_the_other_rows(csv_path, config, audio):
    audio("m", "v", "d", "n")
    csv_path.write_text(HEADER + "m,v,d,1\nm,,d,soon\nn,v,d,2\n")
    scan = scan_manifest(csv_path, config)
    assert [(number, row.name) for number, row in scan.rows] == [(1, "m"), (3, "n")]
    assert [(fault.number, fault.reason) for fault in scan.faults] == [
        (2, "vocals_path is empty"),
        (2, "duration is 'soon', expected seconds > 0"),
    ]


ROW_FAULTS = {
    "gone,v,d,1": ("mix_path: no file FOLDER/gone", "Correct the path; relative ones are taken from FOLDER (the CSV's "
                   "folder, or -d/--data)."),
    r"sub\song,v,d,1": (r"mix_path: no file FOLDER/sub\song", "Write the path with / instead of \\."),
    "'m',v,d,1": ("mix_path: no file FOLDER/'m'", "Take the quotation marks out of the path."),
    "s3://b/m.wav,v,d,1": ("mix_path: s3://b/m.wav is a URL", "Mount the store as a file system .*"),
    "sub,v,d,1": ("mix_path: FOLDER/sub is a folder", "Name the audio file in it."),
    "m/song,v,d,1": ("mix_path: no file FOLDER/m/song", "Correct the path; .*"),
    "pipe,v,d,1": ("mix_path: FOLDER/pipe is not a regular file", "Name an audio file."),
    "m\0,v,d,1": ("mix_path: no file FOLDER/m\0", "Correct the path; .*"),
    "m" * 300 + ",v,d,1": (f"mix_path: FOLDER/{'m' * 300} cannot be read (File name too long)", "Make the file .*"),
    "song, live,v,d,1": ("has 5 fields, the header has 4",
                         'Put a name that has a comma in quotation marks ("), and write decimals with a point.'),
    "m,v,d,12,5": ("has 5 fields, the header has 4", ".*decimals with a point."),
    'm,v,d,"12,5"': ("duration is '12,5', expected seconds > 0", "Write seconds with a decimal point, as 215.3."),
    "m,v,d,3:45": ("duration is '3:45', expected seconds > 0", "Write seconds with a decimal point, as 215.3."),
    "m,v,d,NaN": ("duration is 'NaN', expected seconds > 0", "Give the song's length in seconds."),
    "m,v,d": ("duration is '', expected seconds > 0", "Give the song's length in seconds."),
    '"m\nm",v,d,1': ("mix_path has a line break in it", 'Close the quotation mark (") that the row opens.'),
}  # fmt: skip


@pytest.mark.parametrize("row", ROW_FAULTS)
def test_a_faulty_row_is_told_what_is_wrong_and_how_to_mend_it(csv_path, tmp_path, config, audio, row):
    audio("m", "v", "d", "sub/song")
    os.mkfifo(tmp_path / "pipe")
    reason, cure = ROW_FAULTS[row]
    ((number, found, found_cure),) = faults_of(csv_path, config, row)
    assert (number, found) == (1, reason.replace("FOLDER", str(tmp_path)))
    assert re.fullmatch(re.escape(cure.replace("FOLDER", str(tmp_path))).replace(r"\.\*", ".*"), found_cure)


@pytest.mark.parametrize("row", ["m,v,d,1,,", " m , v , d , 1.0 ", '"m","v","d","1"', "m,v,d,1e2"])
def test_spaces_quotation_marks_and_empty_fields_at_the_end_do_no_harm(csv_path, config, audio, row):
    audio("m", "v", "d")
    assert faults_of(csv_path, config, row) == []


def test_blank_lines_are_no_rows(csv_path, config, audio):
    audio("m", "v", "d")
    assert faults_of(csv_path, config, "", "m,v,d,1", ",,,", "   ", "m,v,,1") == [
        (2, "drums_path is empty", "Name a file in every column, or take the row out.")
    ]


def test_spaces_in_the_header_and_windows_line_ends_do_no_harm(csv_path, config, audio):
    audio("m", "v", "d")
    csv_path.write_bytes(b" mix_path, vocals_path ,drums_path,duration \r\nm,v,d,1\r\n")
    assert len(load_manifest(csv_path, config)) == 1


# What the problem names, and the hint.
CSV_FAULTS = {
    b"mix_path;vocals_path;drums_path;duration\nm;v;d;1,5\n": ("semicolons", "commas"),
    b"mix_path\tvocals_path\tdrums_path\tduration\n": ("tabs", "commas"),
    b"mix_path,vocals_path,drums_path,vocals_path,duration\n": ("vocals_path more than once", ""),
    b"": ("mix_path, vocals_path, drums_path, duration (it has none)", ""),
    HEADER.encode() + "Grün.wav,v,d,1\n".encode("latin-1"): ("'utf-8' codec can't decode byte 0xfc", "UTF-8"),
    HEADER.encode("utf-16"): ("'utf-8' codec can't decode byte", "UTF-8"),
    HEADER.encode() + b'm,v,d,1\n"m,v,d,1\nm,v,d,1\n': ("line 3 on (unexpected end of data)", '(")'),
}


@pytest.mark.parametrize("content", CSV_FAULTS)
def test_a_csv_that_cannot_be_read_is_refused_whole(csv_path, config, audio, content):
    audio("m", "v", "d")
    csv_path.write_bytes(content)
    named, hint = CSV_FAULTS[content]
    with raises(DatasetError, named, path=csv_path, hint=hint):
        scan_manifest(csv_path, config)


def test_the_template_is_a_manifest_but_for_its_files(csv_path, config):
    csv_path.write_text(manifest_template(config))
    assert csv_path.read_text().splitlines()[0] == HEADER.strip()
    reasons = {fault.reason for fault in scan_manifest(csv_path, config).faults}
    assert reasons
    assert all(": no file " in reason for reason in reasons)


@pytest.mark.parametrize("name", ["mix", "mixture"])
def test_the_columns_tell_the_mixture_and_the_instruments(csv_path, name):
    csv_path.write_text(f"duration, vocals_path,{name}_path,genre,piano_path\n")
    assert manifest_signals(csv_path) == (name, ("vocals", "piano"))


@pytest.mark.parametrize("header", ["vocals_path,duration", "mix_path,duration", "mix_path,mixture_path,vocals_path"])
def test_columns_that_do_not_tell_the_mixture_and_the_instruments_are_refused(csv_path, header):
    csv_path.write_text(f"{header}\n")
    named = ("mix_path", "mixture_path", "<instrument>_path", header.replace(",", ", "))
    with raises(DatasetError, *named, path=csv_path, hint="-p"):
        manifest_signals(csv_path)


def test_columns_are_checked_without_looking_at_the_rows(csv_path, config):
    csv_path.write_text(HEADER + "gone,gone,gone,soon\n")
    check_columns(csv_path, config)
    csv_path.write_text("mix_path,duration\n")
    with raises(DatasetError, "vocals_path, drums_path", path=csv_path):
        check_columns(csv_path, config)


def test_a_songs_name_is_one_line_whatever_folder_the_manifest_lies_in(tmp_path, config, audio):
    audio("A\nsong\t1/mix.wav", "v.wav", "d.wav")
    csv = tmp_path / "A\nsong\t1" / "train.csv"
    csv.write_text(HEADER + "mix.wav,../v.wav,../d.wav,3\n")
    assert [row.name for row in load_manifest(csv, config)] == ["A song 1"]
