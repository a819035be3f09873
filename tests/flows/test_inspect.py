"""The picture of a cached chunk, as a user gets it."""

import json

import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.manifest import save_manifest
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import write_noise_song
from tests.flows.test_commands import assert_is_one_line, lacking

pytestmark = pytest.mark.slow

SONG = "A – Song, with $ign"


@pytest.fixture
def cached(tmp_path, config):
    """A config, its manifest of two songs, and their shards, in the test's folder."""
    rows = [write_noise_song(tmp_path / "songs", config, name) for name in ("Another", SONG)]
    save_manifest(tmp_path / "songs.csv", rows, config)
    shards = [(row.name, shard_of(row, config, tmp_path / "cache", num_chunks=2)) for row in rows]
    build_index(tmp_path / "cache", shards, config)
    csvs = {"train_csv": "songs.csv", "validation_csv": "songs.csv"}
    caches = {"training_cache": "cache", "validation_cache": "validation"}
    content = json.loads(config.to_json()) | csvs | caches
    (tmp_path / "config.json").write_text(json.dumps(content))
    return [shard.path for _, shard in shards]


@pytest.fixture(scope="session")
def config():
    return ModelConfig(
        instruments=("vocals", "drums"),
        sample_rate=8000,
        frame_length=512,
        hop_length=128,
        segment_frames=64,
        num_bins=128,
        chunk_duration_s=1.5,
    )


def test_a_chunk_is_drawn_and_its_differences_are_told(run, cached, tmp_path):
    result = run("inspect", "-p", "config.json", "--song", SONG, "--chunk", 1, "-o", "pictures/a.png")
    assert (result.returncode, result.stderr) == (0, "")
    title, *signals, last = result.stdout.splitlines()
    assert title == f"{SONG} – chunk 1, 2.00 s to 3.49 s (training, row 1)"
    assert [line.split(":")[0] for line in signals] == ["mixture", "vocals", "drums"]
    assert all("all of it rounding" in line for line in signals)
    assert last == "picture: pictures/a.png"
    assert (tmp_path / "pictures" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_chunk_is_named_and_not_drawn(run, cached, tmp_path):
    _, shard = cached
    content = bytearray(shard.read_bytes())
    content[len(content) // 4] ^= 1
    shard.write_bytes(content)
    result = run("inspect", "-p", "config.json", "--song", SONG, "-o", "a.png")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"cache/{shard.name}: ")
    assert not lacking(result.stderr, ("chunk 0", SONG)), result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_a_song_that_the_manifest_does_not_list_any_more_is_named(run, cached, tmp_path):
    lines = (tmp_path / "songs.csv").read_text().splitlines()
    (tmp_path / "songs.csv").write_text("\n".join(lines[:2]))
    result = run("inspect", "-p", "config.json", "--song", SONG, "-o", "a.png")
    assert result.returncode == 2
    assert result.stderr.startswith("songs.csv: ")
    assert (result.stderr.count("\n"), lacking(result.stderr, [SONG])) == (1, [])


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        (["--part", "validation"], "validation/index.parquet:"),
        (["--row", "1", "--song", SONG], "--row --song"),
        (["--chunk", "1"], "--chunk --song"),
        (["-o", "a.jpg"], "a.jpg .png"),
    ],
)
def test_a_mistake_is_one_line(run, cached, options, facts):
    assert_is_one_line(run("inspect", "-p", "config.json", "-o", "a.png", *options), facts)
