from pathlib import Path

import pytest

from sepcore.errors import ConfigError
from sepcore.separation.stem_files.names import check_no_clash, stem_paths
from tests.raised import raises

SONG, OUT = Path("albums/First/My Song.mp3"), Path("out")
STEMS = ("vocals", "drums")


@pytest.mark.parametrize(
    ("filename_format", "expected"),
    [
        ("{filename}/{instrument}.{codec}", "My Song/vocals.flac"),
        ("{foldername}/{filename}_{instrument}.{codec}", "First/My Song_vocals.flac"),
        ("{instrument}.wav", "vocals.wav"),
        ("all/{codec}/{instrument}", "all/flac/vocals"),
    ],
)
def test_the_fields_of_a_format_are_spleeters(filename_format, expected):
    paths = stem_paths(SONG, OUT, STEMS, filename_format=filename_format, codec="flac")
    assert list(paths) == list(STEMS)
    assert paths["vocals"] == OUT / expected


def test_spleeters_own_format_is_the_default():
    assert stem_paths(SONG, OUT, STEMS)["drums"] == OUT / "My Song" / "drums.wav"


def test_a_name_with_dots_loses_only_its_suffix_and_a_bare_name_has_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = stem_paths(Path("01. a.b.wav"), OUT, STEMS, filename_format="{foldername}/{filename}/{instrument}")
    assert paths["vocals"] == OUT / tmp_path.name / "01. a.b" / "vocals"


def test_braces_in_a_songs_name_are_no_fields():
    assert stem_paths(Path("{codec}.wav"), OUT, STEMS)["vocals"] == OUT / "{codec}" / "vocals.wav"


@pytest.mark.parametrize(
    "filename_format",
    ["{title}/{instrument}", "{}/{instrument}", "{instrument", "{instrument:d}", "{filename.x}/{instrument}",
     "{filename[x]}/{instrument}"],
)  # fmt: skip
def test_a_format_with_other_fields_is_refused_and_the_message_says_which_there_are(filename_format):
    with raises(ConfigError, repr(filename_format), hint="{filename}, {instrument}, {foldername}, {codec}."):
        stem_paths(SONG, OUT, STEMS, filename_format=filename_format)


def test_a_format_without_instrument_is_refused_unless_there_is_only_one():
    with raises(ConfigError, "{filename}.{codec}", hint="{instrument}"):
        stem_paths(SONG, OUT, STEMS, filename_format="{filename}.{codec}")
    assert stem_paths(SONG, OUT, ["vocals"], filename_format="{filename}.{codec}") == {"vocals": OUT / "My Song.wav"}


@pytest.mark.parametrize("filename_format", ["../{instrument}.wav", "/elsewhere/{instrument}", "a/../../{instrument}"])
def test_a_format_that_leads_out_of_the_output_folder_is_refused(filename_format):
    with raises(ConfigError, repr(filename_format), f"out of {OUT}", hint="below"):
        stem_paths(SONG, OUT, STEMS, filename_format=filename_format)


def planned(*songs, out=OUT, **options):
    return {song: stem_paths(song, out, STEMS, **options) for song in map(Path, songs)}


def test_songs_with_names_of_their_own_do_not_clash():
    check_no_clash(planned("a/one.mp3", "a/two.mp3"))
    check_no_clash(planned("a/one.mp3", "b/one.mp3", filename_format="{foldername}/{filename}/{instrument}.{codec}"))


def test_two_songs_that_would_write_one_file_are_both_named():
    with raises(ConfigError, "a/one.mp3 and a/one.wav", "out/one/vocals.wav", hint="-f"):
        check_no_clash(planned("a/one.mp3", "a/one.wav"))


def test_names_that_differ_in_case_only_clash_since_some_file_systems_take_them_for_one():
    with raises(ConfigError, "a/One.mp3 and b/one.mp3", "out/One/vocals.wav", hint="-f"):
        check_no_clash(planned("a/One.mp3", "b/one.mp3"))


def test_an_input_is_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    songs = planned("songs/mix.wav", "songs/vocals.wav", out=tmp_path / "songs", filename_format="{instrument}.{codec}")
    del songs[Path("songs/mix.wav")]
    with raises(ConfigError, "input", path=tmp_path / "songs" / "vocals.wav", hint="-o"):
        check_no_clash(songs)


def test_an_absolute_format_below_an_output_folder_however_that_is_written_gives_files_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    absolute = f"{tmp_path}/out/{{filename}}_{{instrument}}.{{codec}}"
    for out in (Path("out"), Path("./out"), Path("link"), tmp_path / "out", tmp_path / "x" / ".." / "out"):
        found = stem_paths(Path("a.mp3"), out, ["vocals"], filename_format=absolute)
        assert found == {"vocals": out / "a_vocals.wav"}
        relative = stem_paths(Path("a.mp3"), out, ["vocals"], filename_format="{filename}_{instrument}.{codec}")
        assert relative == found


@pytest.mark.parametrize("filename_format", ["/other/{instrument}", "../{instrument}", "a/../../{instrument}"])
@pytest.mark.parametrize("out", [Path("out"), Path("/somewhere/out")])
def test_a_format_that_leads_elsewhere_is_refused_whichever_of_the_two_is_absolute(out, filename_format):
    with raises(ConfigError, repr(filename_format), f"out of {out}"):
        stem_paths(Path("a.mp3"), out, ["vocals"], filename_format=filename_format)


def test_the_hint_for_songs_that_clash_helps(tmp_path):
    stems = {"vocals": tmp_path / "out" / "a" / "vocals.wav"}
    with raises(ConfigError, "a.mp3", "a.wav", hint="rename one"):
        check_no_clash({tmp_path / "a.mp3": stems, tmp_path / "a.wav": stems})
    with raises(ConfigError, "a.mp3", "b/a.mp3", hint="{foldername}"):
        check_no_clash({tmp_path / "a.mp3": stems, tmp_path / "b" / "a.mp3": stems})
