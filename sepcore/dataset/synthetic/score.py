"""The notes of a made-up song: tempo, key, chords, groove and melody, drawn from a seed."""

from dataclasses import dataclass

import numpy as np

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MINOR = (0, 2, 3, 5, 7, 8, 10)
# Scale degrees of the chords of four bars.
_PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 4), (0, 2, 3, 4), (0, 3, 0, 4), (5, 4, 3, 4))
# Sixteenths of a bar on which the kick, the snare and the bass may play.
_KICKS = ((0, 8), (0, 6, 8), (0, 4, 8, 12), (0, 3, 8, 11), (0, 7, 10), (0, 10))
_SNARES = ((4, 12), (4, 12), (4, 12, 15), (8,), (4, 10, 12))
_BASS = ((0, 4, 8, 12), (0, 2, 4, 6, 8, 10, 12, 14), (0, 6, 8, 14), (0, 3, 6, 10), (0, 8))
_PIANO = ((0, 4, 8, 12), (0, 6, 12), (0, 3, 6, 8, 11, 14), (0, 8), (2, 6, 10, 14))
# Syllable lengths of a sung bar, in sixteenths; a negative length is a rest.
_RHYTHMS = (
    (4, 4, 4, 4),
    (2, 2, 4, 4, 4),
    (3, 3, 2, 4, -4),
    (6, 2, 4, 4),
    (-2, 2, 2, 2, 4, 4),
    (8, 4, 4),
    (-4, 4, 2, 2, 4),
)


@dataclass(frozen=True)
class Note:
    """One note: start and length in seconds, MIDI pitch (of drums: kick, snare, hi-hat, crash), velocity in (0, 1]."""

    start_s: float
    length_s: float
    pitch: int
    velocity: float


class _Composer:
    """What all parts of one song share: the grid of sixteenths, the key and the chord of each bar."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        self.rng = rng
        self.sixteenth_s = 60 / float(rng.uniform(76, 148)) / 4  # the tempo is in beats a minute
        self.bar_s = 16 * self.sixteenth_s
        self.num_bars = int(np.ceil(duration_s / self.bar_s))
        self.swing = float(rng.choice([0.0, 0.0, 0.12, 0.25]))
        self.tonic = int(rng.integers(12))
        self.scale = _MAJOR if rng.random() < 0.5 else _MINOR
        progression = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
        self.degrees = [progression[bar % len(progression)] for bar in range(self.num_bars)]

    def pitch(self, degree: int, lowest: int) -> int:
        """MIDI pitch of a scale degree, counted in the octave that starts with the tonic at or above ``lowest``."""
        octave, step = divmod(degree, len(self.scale))
        return lowest + (self.tonic - lowest) % 12 + 12 * octave + self.scale[step]

    def chord(self, bar: int, lowest: int) -> list[int]:
        """The bar's triad, folded into the octave above ``lowest``."""
        degree = self.degrees[bar]
        return sorted(lowest + (self.pitch(degree + third, 0) - lowest) % 12 for third in (0, 2, 4))

    def time(self, bar: int, sixteenth: float) -> float:
        """Start of a sixteenth in seconds; the off-beat ones late by the song's swing, all a little uneven."""
        late = self.swing if sixteenth % 2 == 1 else 0.0
        return max(0.0, bar * self.bar_s + (sixteenth + late) * self.sixteenth_s + float(self.rng.normal(0, 0.004)))

    def velocity(self, center: float) -> float:
        return float(np.clip(self.rng.normal(center, 0.08), 0.2, 1.0))

    def pattern(self, patterns: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
        return patterns[self.rng.integers(len(patterns))]

    def drums(self) -> list[Note]:
        kick, snare = self.pattern(_KICKS), self.pattern(_SNARES)
        hat_step = int(self.rng.choice([1, 2, 2, 4]))
        notes = []
        for bar in range(self.num_bars):
            hits = [(0, sixteenth, 0.9) for sixteenth in kick] + [(1, sixteenth, 0.8) for sixteenth in snare]
            hits += [(2, sixteenth, 0.7 if sixteenth % 4 == 0 else 0.45) for sixteenth in range(0, 16, hat_step)]
            hits += [(3, 0, 0.7)] if bar % 8 == 0 else []
            if bar % 4 == 3:  # a fill into the next four bars
                hits += [(1, sixteenth, 0.6) for sixteenth in range(13, 16) if self.rng.random() < 0.6]
            notes += [Note(self.time(bar, at), self.sixteenth_s, drum, self.velocity(loud)) for drum, at, loud in hits]
        return notes

    def bass(self) -> list[Note]:
        pattern = self.pattern(_BASS)
        notes = []
        for bar in range(self.num_bars):
            root = 28 + (self.pitch(self.degrees[bar], 0) - 28) % 12
            for at, following in zip(pattern, (*pattern[1:], 16), strict=True):
                pitch = root + int(self.rng.choice([0, 0, 0, 7, 12], p=[0.3, 0.25, 0.25, 0.12, 0.08]))
                length_s = (following - at) * self.sixteenth_s * 0.9
                notes.append(Note(self.time(bar, at), length_s, pitch, self.velocity(0.8)))
        return notes

    def piano(self) -> list[Note]:
        pattern = self.pattern(_PIANO)
        broken = self.rng.random() < 0.35
        notes = []
        for bar in range(self.num_bars):
            chord = self.chord(bar, 57)
            for number, at in enumerate(pattern):
                pitches = [chord[number % 3], chord[(number + 1) % 3] + 12] if broken else chord
                start_s, velocity = self.time(bar, at), self.velocity(0.65)
                notes += [Note(start_s, 3 * self.sixteenth_s, pitch, velocity) for pitch in pitches]
        return notes

    def other(self) -> list[Note]:
        """Sustained chords, or their notes one after another: a pad or an arpeggio."""
        arpeggio = self.rng.random() < 0.5
        notes = []
        for bar in range(self.num_bars):
            chord = self.chord(bar, 52)
            if arpeggio:
                notes += [
                    Note(self.time(bar, at), 2 * self.sixteenth_s, chord[at // 2 % 3] + 12, self.velocity(0.7))
                    for at in range(0, 16, 2)
                ]
            else:
                start_s = self.time(bar, 0)
                notes += [Note(start_s, self.bar_s, pitch, self.velocity(0.7)) for pitch in chord]
        return notes

    def vocals(self) -> list[Note]:
        """A melody of small steps that returns to the chord on the beats, in phrases of two bars with breaths."""
        lowest = int(self.rng.choice([48, 55]))  # a low voice or a high one
        rhythms = [self.pattern(_RHYTHMS) for _ in range(4)]
        notes, degree = [], int(self.rng.integers(2, 7))
        for bar in range(self.num_bars):
            at = 0
            if bar % 8 == 7:  # the singer rests
                continue
            for length in rhythms[bar % len(rhythms)]:
                degree = int(np.clip(degree + self.rng.integers(-2, 3), 0, 10))
                if at % 8 == 0:
                    degree = min((self.degrees[bar] + third - 7 * down for third in (0, 2, 4, 7) for down in (0, 1)),
                                 key=lambda tone: abs(tone - degree))  # fmt: skip
                if length > 0:
                    length_s = length * self.sixteenth_s * 0.96
                    notes.append(Note(self.time(bar, at), length_s, self.pitch(degree, lowest), self.velocity(0.8)))
                at += abs(length)
        return notes


def compose(rng: np.random.Generator, *, duration_s: float) -> dict[str, list[Note]]:
    """The notes of a song by instrument; its last bar may reach beyond ``duration_s``."""
    composer = _Composer(rng, duration_s)
    return {
        "drums": composer.drums(),
        "bass": composer.bass(),
        "piano": composer.piano(),
        "other": composer.other(),
        "vocals": composer.vocals(),
    }
