"""Caches that something has damaged, and two commands that want the same folder."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.faults.workplace import CACHE, INGEST, PARQUET_CACHE, Job, ended, said, thoroughly

pytestmark = pytest.mark.slow

# Each is done to a song of its own.
DAMAGES = {
    "a shard that is gone": (".tfrecord", None),
    "a shard cut short": (".tfrecord", b"\x00" * 100),
    "a JSON file that is gone": (".json", None),
    "an empty JSON file": (".json", b""),
    "a JSON file of other bytes": (".json", b"\xff\xfe\x00"),
    "a JSON file with nothing in it": (".json", b"null"),
    "a JSON file with a list in it": (".json", b"[1, 2]"),
    "a JSON file with other keys in it": (".json", b'{"chunks": 5}'),
}


@pytest.fixture
def cached(workplace, uninterrupted):
    """``cached(job)`` is a folder whose songs are cached."""

    def copy(job):
        for folder in job.products:
            shutil.copytree(uninterrupted(job).workplace.folder / folder, workplace.folder / folder)
        return workplace

    return copy


def damage(path, content):
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_run_again_a_cache_writes_no_shard_anew(cached, uninterrupted):
    workplace = cached(CACHE)
    before = workplace.identities(CACHE)
    workplace.finish(CACHE)
    after = workplace.identities(CACHE)
    assert CACHE.songs_of(name for name in after if before[name] != after[name]) == set()
    assert workplace.contents(CACHE) == uninterrupted(CACHE).contents


def test_what_is_damaged_is_made_again_and_nothing_else(cached, uninterrupted):
    workplace = cached(CACHE)
    before = workplace.identities(CACHE)
    # Garbage of that name could be the user's own, and would be left alone.
    for part in ("training_cache", "validation_cache"):
        damage(workplace.folder / part / "index.parquet", None)
    shards = sorted((workplace.folder / "training_cache").glob("*.tfrecord"))
    damaged = {shard.stem: damage for shard, damage in zip(shards, DAMAGES.values(), strict=False)}
    assert len(damaged) == len(DAMAGES)
    for shard in shards[: len(DAMAGES)]:
        suffix, content = damaged[shard.stem]
        damage(shard.with_suffix(suffix), content)
    workplace.finish(CACHE)
    assert workplace.contents(CACHE) == uninterrupted(CACHE).contents
    after = workplace.identities(CACHE)
    assert CACHE.songs_of(name for name in after if before[name] != after[name]) == set(damaged)


@pytest.mark.parametrize("job", thoroughly(CACHE, PARQUET_CACHE), ids=lambda job: job.arguments[-1])
def test_a_flipped_byte_is_named_by_the_training_and_its_song_cached_again_by_verify(job, cached, uninterrupted):
    workplace = cached(job)
    shard = sorted(path for path in (workplace.folder / "training_cache").iterdir() if "song_1" in path.name)[-1]
    flip_a_byte(shard)
    # Of four chunks a song the training takes one a step: the damaged one is among those of the first epoch.
    steps = str(4 * len(list((workplace.folder / "train").iterdir())))
    trained = workplace.run(Job(("flows.train", *job.arguments[1:], "--max-steps", steps)))
    assert trained.returncode == 2, trained.stderr
    assert "Traceback" not in trained.stderr
    line = said(trained.stderr)[-1]
    assert re.search(r"chunk \d+", line), line
    assert shard.name in line
    assert "song 1" in line

    mended = workplace.run(job, "--verify")
    assert mended.returncode == 0, mended.stderr
    assert shard.name in mended.stdout
    assert workplace.contents(job) == uninterrupted(job).contents


@pytest.mark.parametrize("job", thoroughly(CACHE, INGEST), ids=lambda job: job.arguments[0])
def test_of_two_commands_at_once_in_a_folder_both_end_well_or_one_is_refused_with_one_line(
    job, workplace, uninterrupted
):
    results = [ended(process) for process in (workplace.start(job), workplace.start(job))]
    refused = [result for result in results if result.returncode]
    assert len(refused) <= 1, [result.stderr for result in results]
    for result in refused:
        assert result.returncode in {1, 2}
        assert len(said(result.stderr)) == 1, result.stderr
    assert workplace.contents(job) == uninterrupted(job).contents
    assert workplace.leftovers() == []


def test_what_processes_that_died_have_left_half_written_is_removed(cached):
    workplace = cached(CACHE)
    program = "import os, sys; from pathlib import Path; from sepcore.system.atomic import atomic_path\n"
    program += "with atomic_path(Path(sys.argv[1])) as half_written: half_written.touch(); os._exit(1)"
    shutil.rmtree(workplace.folder / "training_cache" / "indexes")  # it died before it had written one
    for name in ("train.check.parquet", "training_cache/index.parquet", "training_cache/indexes/new.parquet"):
        subprocess.run(
            [sys.executable, "-c", program, name], cwd=workplace.folder, env=workplace.environment, check=False
        )
    assert len(workplace.leftovers()) == 3
    workplace.finish(CACHE)
    assert workplace.leftovers() == []
