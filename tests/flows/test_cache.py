"""The cache flow on real songs, in this process, against a Prefect server of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import scipy.io.wavfile
from prefect.testing.utilities import prefect_test_harness

from flows.cache import flow as cache_flow
from sepcore import load_config
from sepcore.config.load import model_name
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.maintenance import lock_cache
from sepcore.errors import DatasetError, SongsFailed
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import RunInputs
from tasks.dataset import cache_song
from tests.raised import raises
from tests.repository import ROOT

pytestmark = pytest.mark.slow

WAVEFORM = {"cache_content": "waveform", "cache_dtype": "int16", "n_chunks_per_song": "all"}


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def here(small_dataset, tmp_path, monkeypatch) -> Path:
    """A copy of the small data set as working folder."""
    shutil.copytree(small_dataset, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cache(params, prune_for=None, **options):
    """Cache what a config names, as the command does."""
    others = None if prune_for is None else tuple(map(load_config, prune_for))
    return cache_flow.cache(load_config(params), model_name(params), prune_for=others, **options)


def write_config(here, name, **keys):
    (here / name).write_text(json.dumps(json.loads((here / "config.json").read_text()) | keys))
    return name


def shards(here, pattern="training_cache/song*"):
    """Name and time of change of every shard and of what describes it."""
    return {path.name: path.stat().st_mtime_ns for path in here.glob(pattern)}


def test_a_second_time_finds_everything_done(here):
    cache("config.json")
    before = shards(here)
    assert len(before) == 2 * 5
    cache("config.json")
    assert shards(here) == before


def test_what_is_not_content_caches_nothing_anew(here):
    cache("config.json")
    before = shards(here)
    (here / "song0").rename(here / "renamed")
    rows = (here / "train.csv").read_text().replace("song0/", "renamed/").splitlines()
    (here / "train.csv").write_text("\n".join([rows[0], *reversed(rows[1:])]) + "\n")
    for path in here.glob("song*/*.wav"):
        path.touch()
    cache(write_config(here, "other.json", T=128, learning_rate=1e-3, batch_size=1))
    assert shards(here) == before


def test_waveforms_are_cached_once_for_every_network_and_cover_songs_of_both_parts(here):
    indexes = cache(write_config(here, "config.json", **WAVEFORM))
    before = shards(here, "*_cache/song*")
    config = load_config("config.json")
    for part in ("training", "validation"):
        index = read_index(indexes[part], config)
        assert len(index) > index.num_songs
        assert set(index.length.tolist()) == {config.chunk_samples}
    cache(write_config(here, "other.json", frame_step=64, F=128))
    assert shards(here, "*_cache/song*") == before


def test_signals_beyond_full_scale_are_named_once(here, capsys):
    rate, samples = scipy.io.wavfile.read(here / "song1" / "bass.wav")
    scipy.io.wavfile.write(
        here / "song1" / "bass.wav", rate, (1.5 * samples / np.abs(samples).max()).astype(np.float32)
    )
    for expected in (1, 0):
        cache(write_config(here, "config.json", **WAVEFORM))
        assert capsys.readouterr().out.count("'song1' (bass)") == expected


@pytest.mark.parametrize(
    "keys", [{"frame_step": 64}, {"cache_format": "parquet"}, {"cache_dtype": "float16"}, WAVEFORM]
)
def test_another_spectrogram_or_form_is_cached_beside_the_first(here, keys):
    cache("config.json")
    before = shards(here)
    cache(write_config(here, "other.json", **keys))
    assert len(shards(here)) == 2 * len(before)
    assert before.items() <= shards(here).items()


def test_a_changed_recording_is_the_only_one_cached_again(here):
    cache("config.json")
    before = shards(here)
    shutil.copy(here / "song1" / "bass.wav", here / "song0" / "bass.wav")
    cache("config.json")
    new = shards(here).keys() - before.keys()
    assert {name.split("-")[0] for name in new} == {"song0"}
    assert before.items() <= shards(here).items()


def test_pruning_removes_what_no_given_config_needs(here, capsys):
    other = write_config(here, "other.json", frame_step=64)
    old = write_config(here, "old.json", F=128)
    for name in ("config.json", other, old):
        cache(name)
    assert len(shards(here)) == 3 * 10
    cache("config.json", prune_for=(other,))
    assert len(shards(here)) == 2 * 10
    assert "training: 10 files" in capsys.readouterr().out
    before = shards(here)
    for name in ("config.json", other):
        cache(name)
    assert shards(here) == before


@pytest.mark.parametrize("keys", [{}, WAVEFORM])
def test_a_flipped_byte_is_found_named_and_mended_when_asked(here, capsys, keys):
    write_config(here, "config.json", **keys)
    cache("config.json")
    shard = next(here.glob("training_cache/song2-*.tfrecord"))
    sound = shard.read_bytes()
    shard.write_bytes(sound[:5000] + bytes([sound[5000] ^ 1]) + sound[5001:])
    cache("config.json", verify=True)
    assert f"{shard.name}: chunk(s) 0 damaged" in capsys.readouterr().out
    assert shard.read_bytes() == sound


def test_a_row_that_cannot_be_used_is_named_and_left_out(here, capsys):
    shutil.copy(here / "song3" / "mix.wav", here / "whole.wav")
    (here / "song3" / "mix.wav").write_bytes(b"not music")
    cache("config.json")
    assert "row 4 (song3) is left out" in capsys.readouterr().out
    assert len(shards(here)) == 2 * 4
    assert set(pyarrow.parquet.read_table(here / "train.check.parquet")["usable"].to_pylist()) == {True, False}


def test_songs_that_fail_do_not_stop_the_others_and_are_named(here, monkeypatch):
    write_shard = cache_song.fn

    def vanishing(plan, config, folder):
        if plan.song == "song1":
            Path(plan.files[2].path).unlink()
        return write_shard(plan, config, folder)

    monkeypatch.setattr(cache_song, "fn", vanishing)
    with raises(SongsFailed, "1 of 5", "song1", "drums.wav", path="train.csv"):
        cache("config.json")
    assert len(shards(here)) == 2 * 4
    assert not (here / "training_cache" / "index.parquet").exists()


def test_a_song_in_both_manifests_is_told(here, capsys):
    (here / "validation.csv").write_text((here / "train.csv").read_text())
    cache("config.json")
    assert "songs that another CSV has, too: 5" in capsys.readouterr().out


def test_two_cachings_in_one_folder_each_get_an_index_of_their_own(here):
    header, *songs = (here / "train.csv").read_text().splitlines()
    (here / "fewer.csv").write_text("\n".join([header, *songs[:2]]) + "\n")
    first = cache("config.json")["training"]
    second = cache(write_config(here, "fewer.json", train_csv="fewer.csv", instrument_list=["vocals"]))["training"]
    assert [set(pyarrow.parquet.read_table(index)["song"].to_pylist()) for index in (first, second)] == [
        {f"song{number}" for number in range(5)},
        {"song0", "song1"},
    ]
    assert cache("config.json")["training"] == first


def test_what_is_cached_whole_needs_no_lock(here):
    indexes = cache("config.json")
    with lock_cache(here / "training_cache"):
        assert cache("config.json") == indexes


def test_test_songs_are_looked_for_in_the_others(here, capsys):
    (here / "test.csv").write_text((here / "train.csv").read_text())
    cache("config.json", test_csv=Path("test.csv"))
    said = capsys.readouterr().out
    assert "test.csv: 5 rows, 5 usable" in said
    assert re.search(
        r"songs that another CSV has, too: 5 \(row 1: warning: .* same audio as in row 1 of train\.csv", said
    )


def test_a_test_song_that_cannot_be_scored_is_refused_before_the_caching(here):
    (here / "test.csv").write_text((here / "train.csv").read_text().replace("song1/vocals.wav", "test.csv"))
    with raises(DatasetError, path="test.csv"):
        cache("config.json", test_csv=Path("test.csv"))
    assert not shards(here)


def test_other_songs_than_those_of_an_unfinished_run_are_told_before_the_caching(here, capsys):
    indexes, config = cache("config.json"), load_config("config.json")
    songs = {part: read_index(index, config).fingerprint() for part, index in indexes.items()}
    run = RunFolder(here / "runs" / "mine")
    run.start(config, RunInputs(songs))
    cache("config.json", unfinished=run.path)
    assert "is unfinished" not in capsys.readouterr().out
    shutil.copy(here / "song1" / "bass.wav", here / "song0" / "bass.wav")
    cache("config.json", unfinished=run.path)
    assert f"{run.path} is unfinished and was trained with other training songs" in capsys.readouterr().out


def test_another_form_of_shards_makes_no_other_songs(here, capsys):
    indexes, config = cache("config.json"), load_config("config.json")
    songs = {part: read_index(index, config).fingerprint() for part, index in indexes.items()}
    run = RunFolder(here / "runs" / "mine")
    run.start(config, RunInputs(songs))
    for keys, same in (({"cache_format": "parquet"}, True), ({"cache_dtype": "float16"}, False)):
        other = write_config(here, "other.json", **keys)
        again = cache(other, unfinished=run.path)
        assert ("is unfinished" not in capsys.readouterr().out) is same
        for _ in ("written", "found"):
            found = {part: read_index(index, load_config(other)).fingerprint() for part, index in again.items()}
            assert (found == songs) is same
            again = cache(other)


def test_a_read_only_folder_of_recordings_gets_its_report_in_the_cache(here, monkeypatch):
    may_write = os.access  # root may, anywhere
    monkeypatch.setattr(
        "sepcore.dataset.check.report.os.access", lambda path, *a, **k: path != Path() and may_write(path, *a, **k)
    )
    cache("config.json")
    assert (here / "training_cache" / "train.check.parquet").is_file()
    assert not (here / "train.check.parquet").exists()


def test_what_it_would_take_is_said_without_caching(here, tmp_path, run):
    result = run("cache", "-p", "config.json", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "training: 5 of 5 songs to cache, 10 chunks, 0.000" in result.stdout
    assert not (tmp_path / "training_cache").exists()


def test_what_pruning_would_remove_is_said_without_removing(here, run):
    cache("config.json")
    cache(write_config(here, "old.json", F=128))
    before = shards(here)
    result = run("cache", "-p", "config.json", "--dry-run", "--prune")
    assert result.returncode == 0, result.stderr
    assert "training: 10 files (" in result.stdout
    assert "would be removed" in result.stdout
    assert shards(here) == before


def test_the_cache_stage_needs_no_tensorflow():
    code = "import sys, flows.cache; sys.exit('tensorflow' in sys.modules)"
    root = ROOT
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_in_one_line_though_prefects_own_server_gets_it_too(here, environment, number):
    """A terminal sends it to all processes that a command has started; in a flow SIGTERM is Prefect's to handle."""
    temporary = here / "temporary"
    temporary.mkdir()
    # Many chunks, so that some song is always under way.
    write_config(here, "long.json", n_chunks_per_song=60)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cache", "-p", "long.json"],
        cwd=here,
        env=environment | {"TMPDIR": str(temporary)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not shards(here) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1].lower().startswith("interrupted")
    assert "Traceback" not in stderr
    assert not list(here.rglob(".tmp*"))
    assert not list(temporary.iterdir())
