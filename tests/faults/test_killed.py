"""kill -9 at any moment of a command, and the same command again: `make faults` does it more often."""

import os
import random
import subprocess
import sys
import time

import pytest

from tests.faults.workplace import CACHE, INGEST, NUM_KILLS, PARQUET_CACHE, PATIENCE_S, WAVEFORM_CACHE, kill_group

pytestmark = pytest.mark.slow

JOBS = (CACHE, PARQUET_CACHE, WAVEFORM_CACHE, INGEST)
# About what a song takes.
SONG_S = 0.15


def wait_for_a_moment(process, workplace, job, num_steps, delay_s):
    """Wait until so many songs are checked or files made, and then a while; or until the job ends."""
    seen = set()
    while len(seen) < num_steps and process.poll() is None:
        seen |= workplace.checked() | workplace.files(job).keys()
        time.sleep(0.001)
    time.sleep(delay_s)


@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_killed_at_any_moment_and_run_again_a_job_ends_as_if_nothing_had_been(number, workplace, uninterrupted, capsys):
    # With these seeds the two kills of `make test` meet commands that write shards.
    job, rng = JOBS[number % len(JOBS)], random.Random(10 + number)
    expected = uninterrupted(job)
    # The kills of a job are spread over it: by what is done, since time depends on what else the machine does.
    share = (number // len(JOBS) + rng.random()) / -(-NUM_KILLS // len(JOBS))
    num_steps = round(share * (expected.num_checked + len(expected.contents)))
    started = time.monotonic()
    process = workplace.start(job)
    wait_for_a_moment(process, workplace, job, num_steps, rng.uniform(0, SONG_S))
    after_s, fate = time.monotonic() - started, "killed" if process.poll() is None else "ended"
    # Every other time what it has started, as ffmpeg, lives on.
    kill = kill_group if number % 2 else subprocess.Popen.kill
    kill(process)
    process.wait(PATIENCE_S)
    num_checked, num_leftovers, at_kill = (
        len(workplace.checked()),
        len(workplace.leftovers()),
        workplace.identities(job),
    )

    workplace.finish(job)

    assert workplace.contents(job) == expected.contents
    assert workplace.leftovers() == []
    files = workplace.identities(job)
    songs_made_again = job.songs_of(name for name, identity in at_kill.items() if files[name] != identity)
    assert len(songs_made_again) <= len(os.sched_getaffinity(0)), "more than one song of each worker was made again"
    with capsys.disabled():
        sys.stdout.write(
            f"\n{job.arguments[0]} {fate} after {after_s:.1f} s: {num_checked} songs in the "
            f"check's journal, {len(at_kill)} of {len(files)} files stood, {num_leftovers} were half-written; songs "
            f"with files made again: {', '.join(sorted(songs_made_again)) or 'none'}\n"
        )
