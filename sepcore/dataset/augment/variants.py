"""What of a song is varied, pitch or tempo, by how much, and what that makes of its name and length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Method = Literal["rubberband", "resample"]
Kind = Literal["pitch", "tempo"]

_MOST_SEMITONES = 12.0
_SLOWEST, _FASTEST = 0.5, 2.0


@dataclass(frozen=True)
class Variant:
    """A song at another pitch or another tempo."""

    kind: Kind
    amount: float  # semitones, -12 to 12 but not 0; or a factor of the speed, 0.5 to 2 but not 1

    @property
    def label(self) -> str:
        """``pitch +2`` or ``tempo 0.9``, at the end of the song's name."""
        return f"pitch {self.amount:+g}" if self.kind == "pitch" else f"tempo {self.amount:g}"

    @property
    def flag(self) -> str:
        """As it is given on the command line."""
        return f"--{self.kind} {self.amount:g}"

    @property
    def factor(self) -> float:
        """Of the frequencies, for pitch (equal temperament: 2^(1/12) a semitone); of the speed, for tempo."""
        return float(2 ** (self.amount / 12)) if self.kind == "pitch" else self.amount

    def speed(self, method: Method) -> float:
        """How much faster the variant is over; resampling changes pitch and tempo together, as a tape does."""
        return 1.0 if self.kind == "pitch" and method == "rubberband" else self.factor


def variants_of(pitch: Sequence[float], tempo: Sequence[float]) -> tuple[Variant, ...]:
    """The variants of each song, those of the pitch first.

    Args:
        pitch: In semitones, -12 to 12, not 0.
        tempo: As factors of the speed, 0.5 to 2, not 1.

    Raises:
        ValueError: there are none, or one is out of range, changes nothing or is there twice.
    """
    if not pitch and not tempo:
        raise ValueError("neither --pitch nor --tempo is given. Give one or more, as --pitch -2 --pitch 2 --tempo 0.9.")
    for semitones in pitch:
        if not -_MOST_SEMITONES <= semitones <= _MOST_SEMITONES or semitones == 0:
            raise ValueError(f"--pitch is {semitones:g}. Give semitones from -12 to 12, but not 0.")
    for factor in tempo:
        if not _SLOWEST <= factor <= _FASTEST or factor == 1:
            raise ValueError(f"--tempo is {factor:g}. Give factors from 0.5 to 2, but not 1.")
    variants = (*(Variant("pitch", one) for one in pitch), *(Variant("tempo", one) for one in tempo))
    labels: set[str] = set()
    for variant in variants:
        if variant.label in labels:  # what is too close for two names is the same, too
            raise ValueError(f"{variant.flag} is given twice. Leave one of them out.")
        labels.add(variant.label)
    return variants


def same_by_resampling(variants: Sequence[Variant]) -> tuple[Variant, Variant] | None:
    """Two variants that are the same one by resampling, as an octave up and twice the tempo are."""
    by_speed: dict[float, Variant] = {}
    for variant in variants:
        other = by_speed.setdefault(round(math.log2(variant.speed("resample")), 9), variant)
        if other is not variant:
            return other, variant
    return None
