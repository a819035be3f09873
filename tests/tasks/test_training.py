from sepcore.config import ModelConfig
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.plan import plan_shard
from sepcore.dataset.cache.shards import write_shard
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.manifest import save_manifest
from tasks.training import TrainingSet, _validation_songs
from tests.dataset.conftest import write_noise_song
from tests.models import small_config


def cached(folder, config: ModelConfig, csv):
    """The index of the songs of a manifest that the check lets through."""
    report = check_manifest(csv, config)
    plans = [plan_shard(song.row, song.measures, config, num_chunks=1) for song in report.usable]
    return build_index(folder, [(plan.song, write_shard(plan, config, folder)) for plan in plans], config)


def test_songs_that_the_check_left_out_are_left_out_by_the_training_too(tmp_path):
    config = small_config(validation_songs=9)
    rows = [write_noise_song(tmp_path, config, name) for name in ("a", "b", "c", "d")]
    csv = tmp_path / "validation.csv"
    save_manifest(csv, rows, config)
    rows[1].mixture.unlink()
    rows[2].stems[0][1].write_bytes(b"not music")
    csv.write_text(csv.read_text() + "d/mix.wav,,d/accompaniment.wav,4\n")
    index = cached(tmp_path / "cache", config, csv)
    songs = _validation_songs(config, TrainingSet(csv, csv, index, index), read_index(index, config))
    assert sorted(row.name for row in songs.rows) == ["a", "d"]
