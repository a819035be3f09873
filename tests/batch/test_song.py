import errno
import os
from pathlib import Path

import pytest

from sepcore.batch.song import Outcome, Totals, failed
from sepcore.errors import AudioDecodeError, AudioEncodeError


def done(start, end, audio_s=10.0):
    return Outcome(Path("a"), "done", audio_s=audio_s, elapsed_s=end - start, finished_at=end)


def test_songs_at_the_same_time_keep_the_machine_busy_once():
    totals = Totals.of([done(100, 104), done(102, 106), done(110, 111), done(103, 104)])
    assert (totals.done, totals.audio_s, totals.busy_s) == (4, 40, 7)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AudioDecodeError("no audio", path=Path("a.wav"), hint="Choose another."), "no audio. Choose another."),
        (AudioEncodeError("too loud", path=Path("out/a.wav")), "out/a.wav: too loud"),
        (AudioDecodeError("a.wav: no audio"), "a.wav: no audio"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "b.wav"), f"cannot be read: {os.strerror(errno.EIO)}"),
    ],
)
def test_the_reason_of_a_failure_begins_with_the_song_once(error, why):
    outcome = failed(Path("a.wav"), error)
    assert (outcome.status, outcome.reason) == ("failed", f"a.wav: {why}")
    assert outcome.why == why


def test_a_reason_is_one_line_that_can_be_printed():
    song = Path("a\n\udcff.wav")
    outcome = failed(song, AudioDecodeError("no audio", path=song))
    assert outcome.reason == "a\\n\\udcff.wav: no audio"
    assert outcome.why == "no audio"


def test_what_was_skipped_or_failed_is_counted_and_not_separated():
    skipped = Outcome(Path("b"), "skipped", audio_s=60, elapsed_s=2)
    failed = Outcome(Path("c"), "failed", "c: is empty")
    assert Totals.of([done(0, 1), skipped, failed]) == Totals(done=1, skipped=1, failed=1, audio_s=10, busy_s=1)
