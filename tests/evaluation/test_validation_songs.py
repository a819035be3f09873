import logging
import math

import numpy as np
import pytest

from sepcore.dataset.manifest import TrackRow
from sepcore.engines.keras import TensorFlowEngine
from sepcore.evaluation import bss_eval
from sepcore.evaluation.validation_songs import ScoredSong, ValidationSongs, validation_sdr
from sepcore.networks.registry import build_network
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.audio_writer import write_audio
from tests.evaluation.songs import RATE, write_row, write_song
from tests.models import TINY, randomize, small_config

STEMS = ("vocals", "accompaniment")


@pytest.fixture(scope="module")
def config():
    return small_config(model=TINY)


@pytest.fixture(scope="module")
def network(config):
    network = build_network(config)
    randomize(network)
    network.compile(jit_compile=False)
    return network


def rows(count, tmp_path):
    return [TrackRow(f"song {number}", tmp_path / f"{number}.wav", (), 1.0) for number in range(count)]


def scored(**sdr):
    silence = np.zeros((1, 2), np.float32)
    stems = dict.fromkeys(sdr, silence)
    return ScoredSong("song", sdr, 0.0, silence, stems, stems)


def test_the_same_songs_are_chosen_whatever_the_order_of_the_rows(tmp_path):
    config, songs = small_config(validation_songs=3), rows(20, tmp_path)
    chosen = ValidationSongs(songs, config).rows
    assert len(chosen) == 3
    assert ValidationSongs(reversed(songs), config).rows == chosen
    assert ValidationSongs(songs, small_config(validation_songs=2)).rows == chosen[:2]


def test_the_choice_is_the_seeds_and_not_the_first_rows(tmp_path):
    songs = rows(20, tmp_path)
    chosen = {ValidationSongs(songs, small_config(random_seed=seed)).rows for seed in range(5)}
    assert len(chosen) > 2


@pytest.mark.parametrize("wanted", [0, 5])
def test_no_song_and_more_songs_than_there_are_can_be_asked_for(wanted, tmp_path):
    assert len(ValidationSongs(rows(3, tmp_path), small_config(validation_songs=wanted)).rows) == min(wanted, 3)


def test_the_sdr_is_the_median_of_bss_evals_frames(config, network, tmp_path):
    rng = np.random.default_rng(0)
    waveforms = {name: rng.uniform(-0.4, 0.4, (4 * RATE + 500, 2)).astype(np.float32) for name in STEMS}
    waveforms["vocals"][RATE : 2 * RATE] = 0  # a frame that is not scored
    row = write_row(tmp_path, "a song", waveforms)
    (song,) = ValidationSongs([row], config).score(network)

    mixture = read_waveform(row.mixture, sample_rate=RATE, num_channels=2)
    estimates = np.concatenate(list(TensorFlowEngine(config, network).separate([mixture])), axis=1)
    references = np.stack([read_waveform(path, sample_rate=RATE, num_channels=2) for _, path in row.stems])
    sdr, *_ = bss_eval(references, estimates, RATE, RATE)
    assert np.isnan(sdr).any()
    assert song.name == "a song"
    np.testing.assert_allclose([song.sdr[name] for name in STEMS], np.nanmedian(sdr, axis=1), atol=1e-4)


def test_the_excerpt_is_ten_seconds_from_the_middle(config, network, tmp_path):
    row = write_song(tmp_path, "long", stems=STEMS, length=14 * RATE)
    (song,) = ValidationSongs([row], config).score(network)
    assert song.start_s == 2.0
    for name, path in (("mixture", row.mixture), *row.stems):
        shown = song.mixture if name == "mixture" else song.targets[name]
        np.testing.assert_array_equal(
            shown, read_waveform(path, sample_rate=RATE, num_channels=2)[2 * RATE : 12 * RATE]
        )
    # Ratio masks share the mixture: the estimates add up to it in the band that the network sees.
    assert all(estimate.shape == song.mixture.shape for estimate in song.estimates.values())
    assert np.corrcoef(sum(song.estimates.values()).ravel(), song.mixture.ravel())[0, 1] > 0.4


def test_a_short_song_is_cut_to_its_shortest_file_and_shown_whole(config, network, tmp_path):
    row = write_song(tmp_path, "short", stems=STEMS, mixture_length=RATE + 3)
    (song,) = ValidationSongs([row], config).score(network)
    lengths = {len(waveform) for waveform in (song.mixture, *song.targets.values(), *song.estimates.values())}
    assert (song.start_s, lengths) == (0.0, {RATE + 3})


def test_an_unreadable_song_is_left_out_with_one_warning_until_it_is_there_again(config, network, tmp_path, caplog):
    songs = ValidationSongs([write_song(tmp_path, name, stems=STEMS) for name in ("a", "b")], config)
    vocals = tmp_path / "a" / "vocals.wav"
    content = vocals.read_bytes()
    caplog.set_level(logging.WARNING)
    vocals.unlink()
    assert [song.name for song in songs.score(network)] == ["b"]
    vocals.write_bytes(b"not audio")
    assert [song.name for song in songs.score(network)] == ["b"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"a: left out of the validation songs until it can be read: {vocals}")
    vocals.write_bytes(content)
    assert {song.name for song in songs.score(network)} == {"a", "b"}
    vocals.unlink()
    songs.score(network)
    assert len(caplog.records) == 2


def test_a_file_that_has_become_empty_leaves_its_song_out_and_ends_no_training(config, network, tmp_path, caplog):
    song = write_song(tmp_path, "emptied", stems=STEMS)
    write_audio(song.stems[0][1], np.zeros((0, 2), np.float32), sample_rate=RATE, bits=32)
    assert ValidationSongs([song], config).score(network) == []
    assert "emptied: left out of the validation songs" in caplog.text


def test_a_silent_target_and_weights_that_are_nan_have_no_score(config, tmp_path):
    waveforms = {
        "vocals": np.zeros((2 * RATE, 2), np.float32),
        "accompaniment": np.full((2 * RATE, 2), 0.1, np.float32),
    }
    songs = ValidationSongs([write_row(tmp_path, "instrumental", waveforms)], config)
    network = build_network(config)
    network.compile(jit_compile=False)
    (song,) = songs.score(network)
    assert math.isnan(song.sdr["vocals"])
    assert math.isfinite(song.sdr["accompaniment"])
    for variable in network.weights:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    (song,) = songs.score(network)
    assert all(math.isnan(score) for score in song.sdr.values())


def test_the_metric_is_the_mean_over_instruments_of_medians_over_songs():
    songs = [scored(vocals=1.0, drums=math.nan), scored(vocals=3.0, drums=8.0), scored(vocals=8.0, drums=6.0)]
    assert validation_sdr(songs) == {
        "validation_SDR": 5.0,
        "validation_SDR_vocals": 3.0,
        "validation_SDR_drums": 7.0,
    }


def test_what_has_no_score_is_left_out_of_the_metrics():
    assert validation_sdr([scored(vocals=2.0, drums=math.nan)]) == {
        "validation_SDR": 2.0,
        "validation_SDR_vocals": 2.0,
    }
    assert validation_sdr([scored(vocals=math.nan)]) == {}
    assert validation_sdr([]) == {}
