"""What counts as done."""

import json
import shutil
from dataclasses import replace

import pytest

from sepcore.batch.records import find_done
from sepcore.batch.run import separate_song, skip_if_done
from sepcore.separation.stem_files.options import StemFileOptions

OPTIONS = StemFileOptions()


@pytest.fixture
def done(separator, write_song, plan):
    """A song that has been separated."""
    (song,) = plan(write_song("albums/a.wav"))
    assert separate_song(separator, song, OPTIONS).status == "done"
    return song


def record_of(song):
    (path,) = (song.out / ".separated").iterdir()
    return path


def is_done(separator, song, options=OPTIONS):
    return skip_if_done(separator, song, options) is not None


def test_a_song_that_was_separated_is_skipped_with_the_figures_of_its_separation(separator, done):
    skipped = skip_if_done(separator, done, OPTIONS)
    assert (skipped.song, skipped.status, skipped.audio_s) == (done.path, "skipped", 1.5)
    assert skipped.elapsed_s > 0


def test_the_record_holds_no_path_of_this_machine(done, tmp_path):
    assert str(tmp_path) not in record_of(done).read_text()
    assert list(json.loads(record_of(done).read_text())["stems"]) == ["a/vocals.wav", "a/accompaniment.wav"]


def test_an_output_folder_that_was_moved_or_copied_counts(separator, done, plan, tmp_path):
    shutil.copytree(done.out, tmp_path / "elsewhere")
    (song,) = plan(done.path, out=tmp_path / "elsewhere")
    assert is_done(separator, song)


def test_the_same_audio_under_another_date_or_in_another_folder_counts(separator, done, plan, tmp_path):
    copy = tmp_path / "moved" / "a.wav"
    copy.parent.mkdir()
    shutil.copyfile(done.path, copy)
    (song,) = plan(copy)
    assert is_done(separator, song)


def test_a_changed_song_is_not_done_though_its_size_is_the_same(separator, done, write_song):
    size = done.path.stat().st_size
    write_song("albums/a.wav", seed=1)
    assert done.path.stat().st_size == size
    assert not is_done(separator, done)


def test_a_stem_that_another_program_wrote_is_not_done_though_its_size_is_the_same(separator, done):
    _, stem = done.stems[1]
    content = (done.out / stem).read_bytes()
    (done.out / stem).write_bytes(content[:-2] + b"xx")
    assert not is_done(separator, done)


def test_a_record_of_an_earlier_version_goes_by_sizes(separator, done):
    record = json.loads(record_of(done).read_text())
    del record["stem_times"], record["stem_samples"]
    record_of(done).write_text(json.dumps(record))
    for _, stem in done.stems:
        (done.out / stem).write_bytes((done.out / stem).read_bytes())
    assert is_done(separator, done)


def test_another_model_or_setting_is_not_done(done):
    assert find_done(done, lambda: "0123456789abcdef", OPTIONS) is None


@pytest.mark.parametrize(
    "change", [{"bits": 24}, {"offset_s": 0.5}, {"duration_s": 1.0}, {"clipping": "rescale"}, {"sample_rate": 16000}]
)
def test_another_option_that_decides_the_stems_is_not_done(separator, done, change):
    assert not is_done(separator, done, replace(OPTIONS, **change))


@pytest.mark.parametrize("change", [{"bitrate": "320k"}, {"page": True}])
def test_an_option_that_does_not_decide_the_stems_is_done(separator, done, change):
    assert is_done(separator, done, replace(OPTIONS, **change))


def test_a_missing_or_truncated_stem_is_not_done(separator, done):
    stem = done.stem_files["vocals"]
    content = stem.read_bytes()
    stem.write_bytes(content[:-1])
    assert not is_done(separator, done)
    stem.unlink()
    assert not is_done(separator, done)
    stem.write_bytes(content)
    assert is_done(separator, done)


def test_other_stems_of_the_same_song_are_not_done_and_replace_the_record(separator, done, plan):
    (fewer,) = plan(done.path, stems=("vocals",))
    assert not is_done(separator, fewer)
    separate_song(separator, fewer, OPTIONS)
    # The accompaniment is still there, but the vocals might be another model's.
    assert is_done(separator, fewer)
    assert not is_done(separator, done)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}', "null"])
def test_a_record_that_cannot_be_read_counts_as_not_done(separator, done, content):
    record_of(done).write_text(content)
    assert not is_done(separator, done)


def test_a_record_of_another_version_counts_as_not_done(separator, done):
    content = json.loads(record_of(done).read_text())
    record_of(done).write_text(json.dumps(content | {"format": content["format"] + 1}))
    assert not is_done(separator, done)


def test_a_song_that_fails_leaves_no_record_though_older_stems_stay(separator, done, plan):
    done.path.write_text("not music")
    assert separate_song(separator, done, OPTIONS).status == "failed"
    assert not list((done.out / ".separated").iterdir())
    assert done.stem_files["vocals"].is_file()


def test_which_stems_are_in_a_stem_mp4_decides_in_whatever_order_they_are_named(separator, write_song, plan):
    options = StemFileOptions(codec="stem.mp4", stems=("vocals", "accompaniment"))
    (song,) = plan(write_song(), codec="stem.mp4")
    assert separate_song(separator, song, options).status == "done"
    assert is_done(separator, song, replace(options, stems=("accompaniment", "vocals")))
    assert not is_done(separator, song, replace(options, stems=("vocals",)))


def test_a_page_that_is_missing_is_made_of_stems_that_are_done_unless_nothing_is_to_be_written(separator, done, plan):
    (song,) = plan(done.path, page=True)
    options = replace(OPTIONS, page=True)
    page = done.out / "a" / "index.html"
    assert skip_if_done(separator, song, options, write_page=False).status == "skipped"
    assert not page.exists()
    assert skip_if_done(separator, song, options).status == "skipped"
    assert page.is_file()
