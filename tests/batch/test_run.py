import re

import pytest

from sepcore import Separator
from sepcore.batch.outcome import failed
from sepcore.batch.run import separate_song, skip_if_done
from sepcore.errors import CheckpointError, OutputNotWritable
from sepcore.signal.audio_reader import probe_audio
from sepcore.stem_files.options import StemFileOptions
from tests.batch.conftest import touch
from tests.models import TINY, write_model

OPTIONS = StemFileOptions()


def test_a_song_becomes_its_stems(separator, write_song, plan):
    (song,) = plan(write_song())
    outcome = separate_song(separator, song, OPTIONS)
    assert (outcome.song, outcome.status, outcome.reason) == (song.path, "done", "")
    assert outcome.audio_s == pytest.approx(1.5)
    assert {probe_audio(path).duration_s for path in song.stem_files.values()} == {1.5}


def test_progress_within_a_song_is_told_in_samples(separator, write_song, plan):
    (song,) = plan(write_song(seconds=30))
    told = []
    separate_song(separator, song, OPTIONS, on_samples=told.append)
    assert sum(told) == 30 * 8000
    assert len(told) > 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.mp3", b"not music", "is not audio or video"),
        ("empty.wav", b"", r"the file is empty \(0 bytes\)"),
    ],
)
def test_a_bad_file_is_an_outcome_and_leaves_nothing(separator, plan, tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    (song,) = plan(tmp_path / name)
    outcome = separate_song(separator, song, OPTIONS)
    assert (outcome.song, outcome.status, outcome.audio_s) == (tmp_path / name, "failed", 0)
    assert re.search(rf"{name}: {reason}", outcome.reason)
    assert not list((tmp_path / "out").rglob("*"))


def test_a_file_that_the_system_refuses_is_an_error_that_may_pass_and_becomes_an_outcome(separator, plan, tmp_path):
    touch(tmp_path, "gone.wav")
    (song,) = plan(tmp_path / "gone.wav")
    song.path.unlink()
    with pytest.raises(OSError, match="No such file") as error:
        separate_song(separator, song, OPTIONS)
    assert failed(song.path, error.value).reason == f"{song.path}: cannot be read: No such file or directory"


def test_a_stem_that_cannot_be_written_is_an_outcome_that_names_it(separator, write_song, plan, tmp_path):
    (song,) = plan(write_song())
    touch(tmp_path / "out", "a")  # a file where the stems' folder would be
    outcome = separate_song(separator, song, OPTIONS)
    assert outcome.status == "failed"
    assert "a/vocals.wav: cannot be written" in outcome.reason


def test_an_offset_behind_the_end_is_an_outcome(separator, write_song, plan, tmp_path):
    (song,) = plan(write_song())
    outcome = separate_song(separator, song, StemFileOptions(offset_s=60))
    assert (outcome.status, list((tmp_path / "out").rglob("*"))) == ("failed", [])
    assert "holds no audio after the offset" in outcome.reason


def test_a_song_that_changes_while_it_is_read_is_not_done(separator, write_song, plan):
    (song,) = plan(write_song())

    def goes_on(samples):
        with song.path.open("ab") as file:
            file.write(b"\0" * 400)

    outcome = separate_song(separator, song, OPTIONS, on_samples=goes_on)
    assert outcome.status == "failed"
    assert "was changed while it was read" in outcome.reason
    assert skip_if_done(separator, song, OPTIONS) is None


def test_an_output_folder_that_takes_no_records_ends_the_run(separator, write_song, plan, tmp_path):
    (song,) = plan(write_song())
    touch(tmp_path / "out", ".separated")  # a file where the records' folder would be
    with pytest.raises(OutputNotWritable, match=r"what is done cannot be recorded .*choose another folder with -o"):
        separate_song(separator, song, OPTIONS)


def test_weights_that_do_not_fit_end_the_run(tmp_path, write_song, plan):
    other = write_model(tmp_path / "other", model=TINY)
    model = write_model(tmp_path / "model", model=TINY, instrument_list=["vocals", "drums", "bass"])
    for file in (other / "model").iterdir():
        file.replace(model / "model" / file.name)
    (song,) = plan(write_song())
    with pytest.raises(CheckpointError):
        separate_song(Separator(model, load=False), song, OPTIONS)
