"""Sounds of the made-up songs: a band of drums and pitched instruments, and a singer."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from sepcore.dataset.synthetic.score import Note

Waveform = NDArray[np.float32]
Sound = Callable[[int, int], Waveform]
"""The waveform of a pitch and a length in samples, at full velocity."""
_BLOCK = 256
# Formants of an adult's a, e, i, o, u in Hz (Peterson and Barney, 1952), with two higher ones that hardly change.
_VOWELS_HZ = np.array(
    [
        (730, 1090, 2440, 3400, 4500),
        (530, 1840, 2480, 3500, 4500),
        (270, 2290, 3010, 3600, 4600),
        (570, 840, 2410, 3300, 4400),
        (300, 870, 2240, 3300, 4400),
    ],
    np.float64,
)
_BANDWIDTHS_HZ = np.array((80, 90, 120, 175, 250), np.float64)
# Pass bands in Hz and lengths in seconds of s, sh, t, k; None sings the syllable without a consonant.
_CONSONANTS = ((5000, 9500, 0.09), (2500, 6500, 0.09), (3500, 8000, 0.025), (1400, 3500, 0.03), None, None)
_CONTROL_HZ = 400


def _decaying_sines(
    frequencies_hz: NDArray[np.floating[Any]],
    amplitudes: NDArray[np.floating[Any]],
    decays: NDArray[np.floating[Any]],
    samples: int,
    sample_rate: int,
    *,
    attack_s: float,
    release_s: float,
) -> Waveform:
    """A sum of sines that decay by so many nepers a second; those above 0.45 of the rate are left out."""
    audible = frequencies_hz < 0.45 * sample_rate
    exponents = (2j * np.pi * frequencies_hz - decays)[audible] / sample_rate
    # exp(e (256 a + b)) = exp(256 e a) exp(e b): the sum over the sines is a matrix product, far cheaper than sines.
    coarse = np.exp(np.outer(np.arange(-(-samples // _BLOCK)) * _BLOCK, exponents)) * amplitudes[audible]
    fine = np.exp(np.outer(exponents, np.arange(_BLOCK)))
    product = coarse.real @ fine.imag + coarse.imag @ fine.real
    position = np.arange(samples, dtype=np.float32)
    rising = np.minimum(position / max(int(attack_s * sample_rate), 1), 1)
    falling = np.minimum((samples - position) / max(int(release_s * sample_rate), 1), 1)
    return np.asarray(product.ravel()[:samples], np.float32) * (rising * falling).astype(np.float32)


def place(notes: Sequence[Note], sound: Sound, *, samples: int, sample_rate: int) -> Waveform:
    """Play the notes of one instrument: float32 ``(samples,)``, cut at the end."""
    cached_sound = cache(sound)
    waveform = np.zeros(samples, np.float32)
    grid = sample_rate // 50
    for note in notes:
        start = int(note.start_s * sample_rate)
        # Lengths on a grid of 20 ms: humanized notes would otherwise all be different.
        length = max(1, round(note.length_s * sample_rate / grid)) * grid
        _add(waveform, np.float32(note.velocity) * cached_sound(note.pitch, length), start)
    return waveform


def _frequency_hz(pitch: float) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


def bass_sound(rng: np.random.Generator, sample_rate: int) -> Sound:
    """A plucked or a synthetic bass: few harmonics, the higher ones decaying faster."""
    harmonics = np.arange(1, 15)
    slope, decay, attack_s = rng.uniform(1.1, 2.0), rng.uniform(0.6, 3.0), rng.uniform(0.004, 0.015)
    odd_only = rng.random() < 0.3
    amplitudes = harmonics**-slope * np.where(odd_only & (harmonics % 2 == 0), 0.15, 1.0)

    def sound(pitch: int, samples: int) -> Waveform:
        frequencies, decays = _frequency_hz(pitch) * harmonics, decay * (1 + 0.6 * harmonics)
        return _decaying_sines(frequencies, amplitudes, decays, samples, sample_rate, attack_s=attack_s, release_s=0.03)

    return sound


def piano_sound(rng: np.random.Generator, sample_rate: int) -> Sound:
    """Struck strings: stretched partials, two slightly detuned strings for each note, which ring on for a while."""
    harmonics = np.arange(1, 17)
    stretch, slope, decay = rng.uniform(2e-4, 9e-4), rng.uniform(0.9, 1.5), rng.uniform(0.7, 1.6)
    detune, hammer = rng.uniform(2e-4, 1.2e-3), rng.uniform(6.0, 9.0)
    # A hammer at 1/7 of the string leaves out every seventh partial.
    amplitudes = harmonics**-slope * np.abs(np.sin(np.pi * harmonics / hammer))

    def sound(pitch: int, samples: int) -> Waveform:
        frequencies = _frequency_hz(pitch) * harmonics * np.sqrt(1 + stretch * harmonics**2)
        decays = decay * (1 + 0.35 * harmonics) * (pitch / 60) ** 2
        return _decaying_sines(
            np.concatenate([frequencies * (1 - detune), frequencies * (1 + detune)]),
            np.concatenate([amplitudes, amplitudes]),
            np.concatenate([decays, 0.5 * decays]),
            samples + int(0.25 * sample_rate),
            sample_rate,
            attack_s=0.002,
            release_s=0.25,
        )

    return sound


def other_sound(rng: np.random.Generator, sample_rate: int) -> Sound:
    """One of four: bowed strings, organ, plucked guitar, brass."""
    kind = rng.choice(["strings", "organ", "guitar", "brass"])
    harmonics = np.arange(1, 25)
    decays = np.full(len(harmonics), 0.2)
    attack_s, release_s, voices = 0.01, 0.05, np.array([1.0])
    if kind == "strings":
        amplitudes = harmonics ** -rng.uniform(0.8, 1.2)
        attack_s, release_s, voices = rng.uniform(0.06, 0.2), 0.15, np.array([0.9965, 1.0, 1.0042])
    elif kind == "organ":
        drawbars = {1: 1.0, 2: 0.8, 3: 0.6, 4: 0.5, 6: 0.35, 8: 0.4, 10: 0.2, 12: 0.2, 16: 0.25}
        amplitudes = np.array([drawbars.get(int(k), 0.0) for k in harmonics]) * rng.uniform(0.4, 1.0, len(harmonics))
    elif kind == "guitar":
        picked_at = rng.uniform(0.12, 0.3)
        amplitudes = np.abs(np.sin(np.pi * harmonics * picked_at)) / harmonics**0.7
        decays, attack_s = rng.uniform(1.5, 3.0) * (1 + 0.15 * harmonics), 0.001
    else:
        formant = rng.uniform(5, 9)
        amplitudes = np.exp(-0.5 * ((harmonics - formant) / 5.0) ** 2) / harmonics**0.4
        attack_s, voices = rng.uniform(0.03, 0.08), np.array([0.999, 1.002])

    def sound(pitch: int, samples: int) -> Waveform:
        return _decaying_sines(
            _frequency_hz(pitch) * np.outer(voices, harmonics).ravel(),
            np.tile(amplitudes, len(voices)),
            np.tile(decays, len(voices)),
            samples,
            sample_rate,
            attack_s=attack_s,
            release_s=release_s,
        )

    return sound


def drum_sounds(rng: np.random.Generator, sample_rate: int) -> Sound:
    """A drum kit: kick (0), snare (1), hi-hat (2), crash (3); notes' lengths do not matter."""

    def noise(length_s: float, decay_s: float, low_hz: float, high_hz: float) -> Waveform:
        samples = int(length_s * sample_rate)
        # The band keeps some width at low rates, too.
        band = np.minimum([low_hz, high_hz], [0.4 * sample_rate, 0.45 * sample_rate])
        decaying = _noise(band, samples, rng, sample_rate) * np.exp(-np.arange(samples) / (decay_s * sample_rate))
        return np.asarray(decaying / np.abs(decaying).max(), np.float32)

    def sweep(length_s: float, from_hz: float, to_hz: float, fall_s: float, decay_s: float) -> Waveform:
        seconds = np.arange(int(length_s * sample_rate)) / sample_rate
        cycles = to_hz * seconds + (from_hz - to_hz) * fall_s * (1 - np.exp(-seconds / fall_s))
        return (np.sin(2 * np.pi * cycles) * np.exp(-seconds / decay_s)).astype(np.float32)

    kick = sweep(0.4, rng.uniform(140, 260), rng.uniform(42, 60), 0.03, rng.uniform(0.07, 0.16))
    snare = 0.7 * noise(0.3, rng.uniform(0.04, 0.09), 900, 9000)
    snare += 0.5 * sweep(0.3, rng.uniform(240, 330), rng.uniform(160, 210), 0.02, 0.06)
    hat = 0.35 * noise(0.15, rng.uniform(0.012, 0.05), rng.uniform(6000, 8000), 15000)
    crash = 0.4 * noise(1.6, rng.uniform(0.3, 0.6), 3500, 14000)
    kit = (kick, snare, hat, crash)
    return lambda pitch, _length: kit[pitch]


def sing(notes: Sequence[Note], rng: np.random.Generator, *, samples: int, sample_rate: int) -> Waveform:
    """Sing a melody of notes one after another, a syllable for each: float32 ``(samples,)``.

    Glottal pulses with vibrato go through the formants of vowels, with noisy consonants. ``rng`` draws the singer (size
    of the vocal tract, vibrato, breath) and the syllables.
    """
    tract, breath = rng.uniform(0.92, 1.2), rng.uniform(0.01, 0.05)
    source = _glottal_source(_fundamental(notes, rng, samples / sample_rate), breath, rng, samples, sample_rate)
    waveform = np.zeros(samples, np.float32)
    for note in notes:
        start, stop = int(note.start_s * sample_rate), int((note.start_s + note.length_s) * sample_rate)
        voiced = source[start:stop]
        if len(voiced) == 0:
            continue
        swell = np.minimum(np.arange(len(voiced)) / (0.04 * sample_rate), 1)
        fade = np.minimum(np.arange(len(voiced), 0, -1) / (0.07 * sample_rate), 1)
        formants = _VOWELS_HZ[rng.integers(len(_VOWELS_HZ))] * tract
        vowel = _through_formants(note.velocity * voiced * swell * fade, formants, sample_rate)
        _add(waveform, vowel, start)
        consonant = _CONSONANTS[rng.integers(len(_CONSONANTS))]
        if consonant is not None:
            noise = _consonant(*consonant, rng, sample_rate)
            _add(waveform, note.velocity * noise, max(0, start - len(noise) // 2))
    return waveform


def _add(waveform: Waveform, sound: Waveform, start: int) -> None:
    audible = sound[: max(0, len(waveform) - start)]
    waveform[start : start + len(audible)] += audible


def _fundamental(notes: Sequence[Note], rng: np.random.Generator, duration_s: float) -> NDArray[np.float64]:
    """Frequency in Hz, 400 values a second: the voice slides from note to note, and its vibrato starts late."""
    seconds = np.arange(int(duration_s * _CONTROL_HZ) + 2) / _CONTROL_HZ
    starts = np.array([note.start_s for note in notes])
    current = np.maximum(np.searchsorted(starts, seconds, side="right") - 1, 0)
    pitch = np.array([note.pitch for note in notes], np.float64)[current]
    slide = np.exp(-1 / (rng.uniform(0.015, 0.04) * _CONTROL_HZ))
    pitch, _ = scipy.signal.lfilter([1 - slide], [1, -slide], pitch, zi=[slide * pitch[0]])
    rate_hz, depth = rng.uniform(5.0, 6.5), rng.uniform(0.25, 0.6)
    depth_now = depth * np.clip((seconds - starts[current] - 0.15) / 0.3, 0, 1)
    drift = 0.08 * np.sin(2 * np.pi * rng.uniform(0.2, 0.5) * seconds)
    pitch += depth_now * np.sin(2 * np.pi * rate_hz * seconds) + drift
    fundamental: NDArray[np.float64] = 440 * 2 ** ((pitch - 69) / 12)
    return fundamental


def _glottal_source(
    fundamental: NDArray[np.float64], breath: float, rng: np.random.Generator, samples: int, sample_rate: int
) -> Waveform:
    """The flow through the vocal folds, which open slowly and close fast; differentiated, as the lips radiate it."""
    control = np.arange(samples) * (_CONTROL_HZ / sample_rate)
    cycles = np.cumsum(np.interp(control, np.arange(len(fundamental)), fundamental)) / sample_rate
    phase = (cycles - np.floor(cycles)).astype(np.float32)
    # Rosenberg's pulse: a third-order rise and fall over 60 % of the period, then closed.
    opened = np.minimum(phase / np.float32(0.6), 1)
    flow = opened * opened * (1 - opened) * np.float32(27 / 4)
    noise = rng.standard_normal(samples, np.float32) * flow
    source: Waveform = np.diff(flow, prepend=np.float32(0)) * np.float32(sample_rate / 1000)
    source += np.float32(breath) * noise
    return source


def _through_formants(excitation: Waveform, formants_hz: NDArray[np.float64], sample_rate: int) -> Waveform:
    """Filter by a cascade of two-pole resonators with unit gain at 0 Hz, in the frequency domain."""
    ringing = int(0.05 * sample_rate)
    length = scipy.fft.next_fast_len(len(excitation) + ringing, real=True)
    delay = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    response = np.ones(len(delay), np.complex128)
    audible = formants_hz < 0.45 * sample_rate
    for center_hz, bandwidth_hz in zip(formants_hz[audible], _BANDWIDTHS_HZ[audible], strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / sample_rate)
        poles = np.array([1, -2 * radius * np.cos(2 * np.pi * center_hz / sample_rate), radius**2])
        response *= poles.sum() / (poles[0] + delay * (poles[1] + delay * poles[2]))
    spectrum = scipy.fft.rfft(excitation.astype(np.float32), length) * response.astype(np.complex64)
    filtered: Waveform = scipy.fft.irfft(spectrum, length)[: len(excitation) + ringing]
    return filtered


def _consonant(low_hz: float, high_hz: float, length_s: float, rng: np.random.Generator, sample_rate: int) -> Waveform:
    samples = int(length_s * sample_rate)
    band = np.minimum([low_hz, high_hz], [0.35 * sample_rate, 0.45 * sample_rate])
    shaped = _noise(band, samples, rng, sample_rate) * np.hanning(samples)
    return np.asarray(0.5 * shaped / np.abs(shaped).max(), np.float32)


def _noise(
    band_hz: NDArray[np.float64], samples: int, rng: np.random.Generator, sample_rate: int
) -> NDArray[np.float64]:
    bandpass = scipy.signal.butter(2, band_hz, "bandpass", fs=sample_rate, output="sos")
    return np.asarray(scipy.signal.sosfilt(bandpass, rng.standard_normal(samples)))
