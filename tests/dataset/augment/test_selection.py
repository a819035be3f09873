"""Which songs are varied."""

import shutil

import numpy as np
import pytest
import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.findings import length_lines
from sepcore.dataset.augment.selection import choose_songs, held_out_mixtures, missing_lines
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.check.measure import measure_song
from sepcore.dataset.manifest import save_manifest
from sepcore.errors import DatasetError
from tests.dataset.augment.test_songs import RATE, write_row
from tests.raised import raises

CONFIG = ModelConfig(
    instruments=("vocals", "drums"), sample_rate=RATE, frame_length=128, hop_length=32, num_bins=64, segment_frames=64
)


def song(tmp_path, name, seed, **form):
    rng = np.random.default_rng(seed)
    return write_row(tmp_path / name, mixture=rng.uniform(-0.1, 0.1, (RATE, form.get("channels", 2))), **form)


def chosen(tmp_path, rows, *, held_out=(), config=CONFIG):
    save_manifest(tmp_path / "train.csv", rows, config)
    if held_out:
        save_manifest(tmp_path / "test.csv", held_out, config)
        config = config.model_copy(update={"test_csv": str(tmp_path / "test.csv")})
    measured = [(row, measure_song(row, mix_name="mix")) for row in held_out_mixtures(config, None)]
    songs, left_out = choose_songs(check_manifest(tmp_path / "train.csv", config), measured)
    return [one.row.name for one in songs], {one.song: one.reason for one in left_out}, list(length_lines(songs))


@pytest.mark.parametrize("same", ["file", "bytes", "samples", "file, whose stem is lost"])
def test_a_song_whose_mixture_is_held_out_is_left_out_and_named(tmp_path, same):
    rows = [song(tmp_path, name, seed) for seed, name in enumerate(("a", "b"))]
    held = rows[1] if same.startswith("file") else song(tmp_path, "other", 2)
    if same == "bytes":
        shutil.copy(rows[1].mixture, held.mixture)
    elif same == "samples":
        soundfile.write(held.mixture, soundfile.read(rows[1].mixture)[0], RATE, subtype="DOUBLE")
    elif "lost" in same:
        held = song(tmp_path, "other", 2)
        shutil.copy(rows[1].mixture, held.mixture)
        held.stems[0][1].unlink()
    names, left_out, _ = chosen(tmp_path, rows, held_out=[held])
    assert names == ["a"]
    assert list(left_out) == ["b"]
    assert "row 1 of" in left_out["b"]
    assert "test.csv" in left_out["b"]


def test_what_the_check_leaves_out_of_a_training_is_left_out_once_with_its_reasons(tmp_path):
    rows = [song(tmp_path, "good", 0), song(tmp_path, "mono", 1, channels=1), song(tmp_path, "lost", 2)]
    rows += [song(tmp_path, "broken", 3), song(tmp_path, "short", 4, seconds=0.1)]
    rows[2].stems[0][1].unlink()
    for _, path in rows[3].stems:
        path.write_text("no audio")
    names, left_out, _ = chosen(tmp_path, rows)
    assert names == ["good"]
    assert sorted(left_out) == ["broken", "mono", "row 3", "short"]
    assert "n_channels" in left_out["mono"]
    assert all(str(path) in left_out["broken"] for _, path in rows[3].stems)


def test_songs_whose_stems_have_another_length_than_the_mixture_are_named(tmp_path):
    rows = [song(tmp_path, "even", 0, seconds=1), song(tmp_path, "cut", 1, seconds=0.6)]
    names, left_out, (line,) = chosen(tmp_path, rows)
    assert (names, left_out) == (["even", "cut"], {})
    assert "'cut'" in line
    assert "0.40 s shorter" in line
    assert "'even'" not in line


def test_of_the_configs_other_manifests_a_missing_one_is_told_and_a_damaged_one_is_refused(tmp_path):
    config = CONFIG.model_copy(update={"validation_csv": str(tmp_path / "no.csv"), "test_csv": None})
    assert held_out_mixtures(config, None) == []
    (line,) = missing_lines(config)
    assert "validation_csv" in line
    assert "no.csv" in line
    (tmp_path / "no.csv").write_text("path,duration\n")
    assert list(missing_lines(config)) == []
    with raises(DatasetError, "mix_path", path=tmp_path / "no.csv"):
        held_out_mixtures(config, None)
