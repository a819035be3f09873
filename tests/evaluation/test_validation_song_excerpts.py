import numpy as np
import pytest
from PIL import Image

from sepcore.evaluation.validation_songs import ScoredSong, write_estimates, write_targets
from sepcore.signal.audio_reader import probe_audio, read_waveform
from tests.models import small_config

pytestmark = pytest.mark.slow

STEMS = ("vocals", "accompaniment")


def example(config, seconds=2.0, sdr=5.0):
    """Low notes as vocals, a high one as accompaniment; the estimates have a tenth of the other."""
    time_s = np.arange(round(seconds * config.sample_rate)) / config.sample_rate
    low, high = (0.3 * np.sin(2 * np.pi * config.sample_rate * share * time_s) for share in (0.02, 0.1))
    low, high = (np.repeat(note[:, None], config.num_channels, axis=1).astype(np.float32) for note in (low, high))
    estimates = {"vocals": low + high / 10, "accompaniment": high + low / 10}
    targets = {"vocals": low, "accompaniment": high}
    return ScoredSong("A song – $x_{", dict.fromkeys(STEMS, sdr), 3.0, low + high, estimates, targets)


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), float)


def test_every_signal_becomes_an_mp3_beside_the_picture(tmp_path):
    config = small_config()
    song = example(config)
    files = [*write_targets(song, tmp_path / "new", config), *write_estimates(song, tmp_path / "new", config)]
    names = {f"{name}_{kind}.mp3" for name in STEMS for kind in ("estimate", "target")} | {"mixture.mp3", "picture.png"}
    assert {path.name for path in files} == {path.name for path in (tmp_path / "new").iterdir()} == names
    for name, expected in (("mixture", song.mixture), ("vocals_estimate", song.estimates["vocals"])):
        path = tmp_path / "new" / f"{name}.mp3"
        heard = read_waveform(path, sample_rate=config.sample_rate, num_channels=2)[: len(expected)]
        assert probe_audio(path).codec == "mp3"
        assert np.corrcoef(heard.ravel(), expected[: len(heard)].ravel())[0, 1] > 0.99


def test_what_a_training_changes_is_written_without_mixture_and_targets(tmp_path):
    config = small_config()
    files = write_estimates(example(config), tmp_path, config)
    names = ["accompaniment_estimate.mp3", "picture.png", "vocals_estimate.mp3"]
    assert sorted(path.name for path in files) == sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("keys", [{"sample_rate": 10_000}, {"sample_rate": 96_000}, {"n_channels": 3}])
def test_what_mp3_cannot_hold_becomes_flac(keys, tmp_path):
    config = small_config(**keys)
    song = example(config, seconds=0.5)
    write_targets(song, tmp_path, config)
    info = probe_audio(tmp_path / "mixture.flac")
    assert (info.codec, info.sample_rate, info.num_channels) == ("flac", config.sample_rate, config.num_channels)
    heard = read_waveform(
        tmp_path / "vocals_target.flac", sample_rate=config.sample_rate, num_channels=config.num_channels
    )
    np.testing.assert_allclose(heard, song.targets["vocals"], atol=2**-15)


@pytest.mark.parametrize("rate", [11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_every_rate_that_mp3_has_is_written_as_mp3(rate, tmp_path):
    config = small_config(sample_rate=rate)
    write_estimates(example(config, seconds=0.3), tmp_path, config)
    assert probe_audio(tmp_path / "vocals_estimate.mp3").sample_rate == rate


@pytest.mark.parametrize("samples", [1, 100, 8000])
def test_an_excerpt_of_any_length_can_be_written(samples, tmp_path):
    config = small_config()
    write_estimates(example(config, seconds=samples / 8000, sdr=float("nan")), tmp_path, config)
    assert pixels(tmp_path / "picture.png").std() > 1


@pytest.mark.parametrize("level", [0.0, np.nan])
def test_silence_and_the_estimates_of_weights_that_are_nan_can_be_written(level, tmp_path):
    config = small_config()
    song = example(config)
    for waveform in song.estimates.values():
        waveform[:] = level
    write_estimates(song, tmp_path, config)
    heard = read_waveform(tmp_path / "vocals_estimate.mp3", sample_rate=8000, num_channels=2)
    assert np.abs(heard).max() < 1e-3


def test_the_picture_shows_the_mask_of_an_instrument_where_it_plays(tmp_path):
    config = small_config()
    files = write_estimates(example(config), tmp_path, config)
    picture = pixels(files[-1])
    height, width = picture.shape[:2]
    # Viridis' yellow (mask 1) in the last quarter: low in the vocals' row, high in the accompaniment's.
    yellow = (picture[..., 0] > 230) & (picture[..., 1] > 200) & (picture[..., 2] < 80)
    yellow[:, : int(0.75 * width)] = yellow[:, int(0.93 * width) :] = False
    vocals, accompaniment = (np.argwhere(row)[:, 0].mean() for row in np.split(yellow[: height // 2 * 2], 2))
    assert vocals / height > 0.3
    assert accompaniment / height < vocals / height
