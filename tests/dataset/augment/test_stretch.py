"""Pitch and tempo of real songs' stems: how far they move, and that all stems move alike."""

import numpy as np
import pytest

from sepcore.dataset.augment.stretch import choose_method, stretch
from sepcore.dataset.augment.variants import Variant
from sepcore.errors import ConfigError
from tests.raised import raises

RATE = 22050
VARIANTS = [Variant("pitch", -2), Variant("pitch", 3), Variant("tempo", 0.9), Variant("tempo", 1.25)]
EXTREMES = [Variant("pitch", -12), Variant("pitch", 12), Variant("tempo", 0.5), Variant("tempo", 2)]


def noise(seed, seconds=2.0):
    return np.random.default_rng(seed).normal(0, 0.1, round(RATE * seconds)).astype(np.float32)


def sine(hz, seconds=3.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE)).astype(np.float32)


def clicks(places_s, seconds=3.0):
    signal = np.zeros(round(RATE * seconds), np.float32)
    signal[np.rint(np.array(places_s) * RATE).astype(int)] = 0.9
    return signal


def stretched(stems, variant, method, tmp_path, num_channels=1, block=5000):
    """Each stem after the variation: stems ``(samples,)``, or ``(samples, channels)``, as they were given."""
    together = np.stack(stems, axis=1).reshape(len(stems[0]), -1)
    pieces = np.split(together, range(block, len(together), block))
    form = {"sample_rate": RATE, "num_stems": len(stems), "num_channels": num_channels}
    made = stretch(pieces, variant, method, tmp_path, **form)
    out = np.concatenate(list(made.blocks()))
    assert out.dtype == np.float32
    assert len(out) == made.num_samples
    return out.reshape(len(out), *np.stack(stems, axis=1).shape[1:]).swapaxes(0, 1)


def frequency(signal):
    """Of a sine, by the peak of its spectrum, within a tenth of a hertz."""
    middle = signal[len(signal) // 4 : -len(signal) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 19))
    return spectrum.argmax() * RATE / (1 << 19)


@pytest.fixture(params=["rubberband", "resample"])
def method(request):
    if request.param == "rubberband":
        request.getfixturevalue("rubberband")
    return request.param


@pytest.mark.parametrize("variant", [*VARIANTS, *EXTREMES], ids=lambda variant: variant.label)
def test_the_pitch_moves_by_its_ratio_and_the_length_by_the_speeds(variant, method, tmp_path):
    (out,) = stretched([sine(3000)], variant, method, tmp_path)
    moves = variant.kind == "pitch" or method == "resample"
    assert frequency(out) == pytest.approx(3000 * (variant.factor if moves else 1), rel=1e-3)
    assert len(out) == round(3 * RATE / variant.speed(method))
    # To the end: nothing is lost in the filter.
    assert np.sqrt(np.mean(out[-RATE // 4 : -RATE // 10] ** 2)) == pytest.approx(np.sqrt(1 / 8), rel=0.2)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
@pytest.mark.parametrize("num_stems", [4, 5])  # 8 channels, and more than ffmpeg's filter takes
def test_stems_that_are_equal_stay_equal_to_the_bit_whatever_the_others_are(variant, num_stems, method, tmp_path):
    same = np.stack([noise(0), noise(1)], axis=1)
    beats = np.stack([clicks(np.arange(0.1, 1.9, 0.17), 2)] * 2, axis=1)
    stems = [same, beats, 0.5 * same, *([noise(2)[:, None] * [[1.0, 0.3]]] * (num_stems - 4)), same]
    out = stretched([stem.astype(np.float32) for stem in stems], variant, method, tmp_path, num_channels=2)
    np.testing.assert_array_equal(out[-1], out[0])
    np.testing.assert_allclose(out[2], 0.5 * out[0], atol=1e-6)
    assert not np.array_equal(out[1], out[0])


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
@pytest.mark.parametrize(("num_stems", "level"), [(3, -0.6), (10, 0.5)])  # beyond 8 channels a sign moves the phases
def test_clicks_at_the_same_places_stay_at_the_same_samples(variant, num_stems, level, method, tmp_path):
    places_s = np.array([0.5, 1.1, 1.5, 2.3])
    beats = clicks(places_s)
    others = [noise(seed, 3) for seed in range(num_stems - 3)]
    out = stretched([beats, level * beats, *others, 0.25 * beats], variant, method, tmp_path)
    tolerance_s = 0.04 if method == "rubberband" else 1e-4
    for place_s in places_s / variant.speed(method):
        first = round((place_s - 0.1) * RATE)
        at = [first + int(np.abs(out[stem, first : first + RATE // 5]).argmax()) for stem in (0, 1, -1)]
        assert len(set(at)) == 1, at
        assert at[0] / RATE == pytest.approx(place_s, abs=tolerance_s)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
@pytest.mark.parametrize(("num_stems", "apart_s"), [(4, 0), (5, 0.02)])  # one stream, and two
def test_a_stem_with_pauses_keeps_step_with_the_others_of_its_stream(variant, num_stems, apart_s, rubberband, tmp_path):
    beats = noise(0, 4)
    starts = range(0, len(beats), RATE)
    for start in starts:
        beats[start : start + RATE] *= np.exp(-np.arange(RATE) / 400)
        beats[start + RATE // 5 : start + RATE] = 0
    signals = [beats, *(noise(seed, 4) for seed in range(1, num_stems - 1)), beats]
    out = stretched([np.stack([one, one], axis=1) for one in signals], variant, "rubberband", tmp_path, num_channels=2)
    for start in starts:
        first = max(round(start / variant.speed("rubberband")) - RATE // 20, 0)
        one, other = (np.fft.rfft(out[stem, first : first + RATE // 2, 0], 1 << 15) for stem in (0, -1))
        lag = int(np.fft.irfft(other * np.conj(one)).argmax())
        assert min(lag, (1 << 15) - lag) <= apart_s * RATE


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)
def test_a_stem_that_comes_later_comes_as_much_later_by_the_new_speed(variant, method, tmp_path):
    delay, song = RATE // 10, noise(3, 3)
    later = np.concatenate([np.zeros(delay, np.float32), song[:-delay]])
    out = stretched([song, later], variant, method, tmp_path)
    early, late = (np.fft.rfft(signal, 1 << 18) for signal in out)
    found = int(np.fft.irfft(late * np.conj(early))[: 2 * delay].argmax())
    assert found == pytest.approx(delay / variant.speed(method), abs=RATE * 0.012 if method == "rubberband" else 1)


def test_resampled_stems_add_up_to_the_resampled_sum(tmp_path):
    stems = [noise(1), noise(2)]
    one, other, both = stretched([*stems, stems[0] + stems[1]], Variant("pitch", 2), "resample", tmp_path)
    np.testing.assert_allclose(one + other, both, atol=1e-6)


def test_where_ffmpeg_lacks_rubber_band_songs_are_resampled_and_asking_for_it_is_refused(plain_ffmpeg, monkeypatch):
    monkeypatch.setenv("FFMPEG_PATH", str(plain_ffmpeg))
    assert choose_method("auto", VARIANTS) == "resample"
    with raises(ConfigError, "--method rubberband", path=plain_ffmpeg / "ffmpeg", hint="--method resample"):
        choose_method("rubberband", VARIANTS)


def test_where_ffmpeg_has_it_rubber_band_is_taken(rubberband):
    assert choose_method("auto", VARIANTS) == "rubberband"
    assert choose_method("resample", VARIANTS) == "resample"
