from pathlib import Path

from sepcore.batch.outcome import Outcome, Totals


def done(start, end, audio_s=10.0):
    return Outcome(Path("a"), "done", audio_s=audio_s, elapsed_s=end - start, finished_at=end)


def test_songs_at_the_same_time_keep_the_machine_busy_once():
    totals = Totals.of([done(100, 104), done(102, 106), done(110, 111), done(103, 104)])
    assert (totals.done, totals.audio_s, totals.busy_s) == (4, 40, 7)


def test_what_was_skipped_or_failed_is_counted_and_not_separated():
    skipped = Outcome(Path("b"), "skipped", audio_s=60, elapsed_s=2)
    failed = Outcome(Path("c"), "failed", "c: is empty")
    assert Totals.of([done(0, 1), skipped, failed]) == Totals(done=1, skipped=1, failed=1, audio_s=10, busy_s=1)
