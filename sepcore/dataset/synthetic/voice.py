"""A made-up singer: glottal pulses with vibrato, through the formants of vowels, with noisy consonants."""

from collections.abc import Sequence

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from sepcore.dataset.synthetic.score import Note

# Formants of an adult's a, e, i, o, u in Hz (Peterson and Barney, 1952), with two higher ones that hardly move.
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


def sing(notes: Sequence[Note], rng: np.random.Generator, *, samples: int, sample_rate: int) -> NDArray[np.float32]:
    """Sing a melody, a syllable a note.

    Args:
        notes: The melody, in time order, one note at a time.
        rng: Draws the singer (size of the vocal tract, vibrato, breath) and the syllables.
        samples: Length of the song.
        sample_rate: In Hz.

    Returns:
        float32 ``(samples,)``, silent where there is no note.
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
            noise = _noise(consonant, rng, sample_rate)
            _add(waveform, note.velocity * noise, max(0, start - len(noise) // 2))
    return waveform


def _add(waveform: NDArray[np.float32], sound: NDArray[np.float32], start: int) -> None:
    audible = sound[: max(0, len(waveform) - start)]
    waveform[start : start + len(audible)] += audible


def _fundamental(notes: Sequence[Note], rng: np.random.Generator, duration_s: float) -> NDArray[np.float64]:
    """Frequency in Hz, 400 values a second: the voice slides from note to note, and its vibrato sets in late."""
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
) -> NDArray[np.float32]:
    """Flow through the vocal folds, differentiated (the lips radiate so): they open slowly and shut fast."""
    control = np.arange(samples) * (_CONTROL_HZ / sample_rate)
    cycles = np.cumsum(np.interp(control, np.arange(len(fundamental)), fundamental)) / sample_rate
    phase = (cycles - np.floor(cycles)).astype(np.float32)
    # Rosenberg's pulse: a third-order rise and fall over 60 % of the period, then shut.
    opened = np.minimum(phase / np.float32(0.6), 1)
    flow = opened * opened * (1 - opened) * np.float32(27 / 4)
    noise = rng.standard_normal(samples, np.float32) * flow
    source: NDArray[np.float32] = np.diff(flow, prepend=np.float32(0)) * np.float32(sample_rate / 1000)
    source += np.float32(breath) * noise
    return source


def _through_formants(
    excitation: NDArray[np.float32], formants_hz: NDArray[np.float64], sample_rate: int
) -> NDArray[np.float32]:
    """Filter by a cascade of two-pole resonators of unit gain at 0 Hz, all at once in the frequency domain."""
    ringing = int(0.05 * sample_rate)
    length = scipy.fft.next_fast_len(len(excitation) + ringing, real=True)
    delay = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    response = np.ones(len(delay), np.complex128)
    audible = formants_hz < 0.45 * sample_rate
    for centre_hz, bandwidth_hz in zip(formants_hz[audible], _BANDWIDTHS_HZ[audible], strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / sample_rate)
        poles = np.array([1, -2 * radius * np.cos(2 * np.pi * centre_hz / sample_rate), radius**2])
        response *= poles.sum() / (poles[0] + delay * (poles[1] + delay * poles[2]))
    spectrum = scipy.fft.rfft(excitation.astype(np.float32), length) * response.astype(np.complex64)
    filtered: NDArray[np.float32] = scipy.fft.irfft(spectrum, length)[: len(excitation) + ringing]
    return filtered


def _noise(consonant: tuple[int, int, float], rng: np.random.Generator, sample_rate: int) -> NDArray[np.float32]:
    low_hz, high_hz, length_s = consonant
    samples = int(length_s * sample_rate)
    band = np.minimum([low_hz, high_hz], [0.35 * sample_rate, 0.45 * sample_rate])
    bandpass = scipy.signal.butter(2, band, "bandpass", fs=sample_rate, output="sos")
    shaped = scipy.signal.sosfilt(bandpass, rng.standard_normal(samples)) * np.hanning(samples)
    return np.asarray(0.5 * shaped / np.abs(shaped).max(), np.float32)
