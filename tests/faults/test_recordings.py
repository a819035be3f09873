"""Recordings that are not any more what the dataset check saw when their song's turn to be cached comes."""

import shutil

import pytest
import soundfile

from tests.faults.workplace import CACHE, ended, resume, said, suspend, thoroughly, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def cached_with_a_fault(workplace):
    """``cached_with_a_fault(fault)`` has something happen to the last song's mixture once the first song is cached."""

    def run(fault):
        # One song at a time, so that the last one's turn is still to come.
        process = workplace.start(CACHE, "--workers", "1")
        wait_until(lambda: any((workplace.folder / "training_cache").glob("*.json")), process)
        suspend(process)
        fault(last_mixture(workplace))
        resume(process)
        return ended(process)

    return run


def last_mixture(workplace):
    songs = sorted((workplace.folder / "train").iterdir(), key=lambda song: int(song.name.split()[1]))
    return songs[-1] / "mix.wav"


def cut_short(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def record_anew(path):
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[::-1], rate)


def assert_names_the_recording_and_keeps_the_other_songs(result, workplace):
    assert result.returncode in {1, 2}, result.stderr
    (line,) = said(result.stderr)
    assert str(last_mixture(workplace).relative_to(workplace.folder)) in line
    num_shards = len(list((workplace.folder / "training_cache").glob("*.tfrecord")))
    assert num_shards == len(list((workplace.folder / "train").iterdir())) - 1
    assert workplace.leftovers() == []


def test_a_recording_that_vanishes_after_the_check_is_named_and_the_other_songs_are_cached(
    cached_with_a_fault, workplace, uninterrupted, tmp_path
):
    result = cached_with_a_fault(lambda path: path.rename(tmp_path / "away.wav"))
    assert_names_the_recording_and_keeps_the_other_songs(result, workplace)
    (tmp_path / "away.wav").rename(last_mixture(workplace))
    workplace.finish(CACHE)
    assert workplace.contents(CACHE) == uninterrupted(CACHE).contents


@pytest.mark.parametrize("fault", thoroughly(record_anew, cut_short))
def test_a_recording_that_changes_after_the_check_is_named_and_the_next_run_takes_it_as_it_is(
    fault, cached_with_a_fault, workplace, make_workplace, tmp_path
):
    result = cached_with_a_fault(fault)
    assert_names_the_recording_and_keeps_the_other_songs(result, workplace)
    again = workplace.run(CACHE)
    new = make_workplace(tmp_path / "new")
    shutil.copy2(last_mixture(workplace), last_mixture(new))
    first = new.run(CACHE)
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout), again.stderr
    assert workplace.contents(CACHE) == new.contents(CACHE)
