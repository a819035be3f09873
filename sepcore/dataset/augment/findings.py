"""What an augmentation will take, and what it found, in lines for the user."""

from collections.abc import Iterator, Sequence
from typing import Literal

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.mixing import SAMPLE_BYTES
from sepcore.dataset.augment.songs import SongVariant
from sepcore.dataset.augment.variants import Method, Variant
from sepcore.dataset.check.findings import HIGHEST_RESIDUAL_DB, length_differences
from sepcore.dataset.check.report import CheckedSong
from sepcore.dataset.manifest import TrackRow
from sepcore.system.printable import first_few

_SHOWN = 5


def method_line(chosen: Method, wanted: Literal["auto"] | Method) -> str:
    """How the songs are varied, and why."""
    if chosen == "rubberband":
        return "method rubberband: pitch and tempo are varied apart"
    why = "this ffmpeg has no filter rubberband: " if wanted == "auto" else ""
    return f"{why}method resample: pitch and tempo are varied together, as by a tape's speed"


def estimate_line(rows: Sequence[TrackRow], config: ModelConfig, variants: Sequence[Variant], method: Method) -> str:
    """How many songs and hours there will be, and how large their files can become."""
    length_s = sum(row.duration_s / variant.speed(method) for row in rows for variant in variants)
    num_signals = 1 + len(config.instruments)
    num_bytes = length_s * config.sample_rate * config.num_channels * num_signals * SAMPLE_BYTES
    return (
        f"{len(rows)} songs, {len(variants)} variants of each by {method}: {length_s / 3600:.3g} h of audio, "
        f"at most {num_bytes / 1e9:.3g} GB"
    )


def length_lines(songs: Sequence[CheckedSong]) -> Iterator[str]:
    """A line about songs whose stems do not all have the mixture's length."""
    differing = {song.row.name: what for song in songs if (what := length_differences(song.files))}
    if differing:
        shown = first_few([f"{name!r} ({what})" for name, what in differing.items()], _SHOWN, separator="; ")
        yield f"{len(differing)} songs are varied up to the end of their shortest file: {shown}"


def findings(made: Sequence[SongVariant]) -> Iterator[str]:
    """Lines about variants that were turned down, and about songs that are not the sum of their stems."""
    if loud := [variant for variant in made if variant.gain_db < 0]:
        songs = first_few([f"{one.row.name!r} ({one.gain_db:.1f} dB)" for one in loud], _SHOWN)
        yield f"{len(loud)} variants turned down, mixture and stems alike, to stay below full scale: {songs}"
    if rest := [variant for variant in made if variant.residual_db > HIGHEST_RESIDUAL_DB]:
        songs = first_few([f"{one.row.name!r} ({one.residual_db:.1f} dB)" for one in rest], _SHOWN)
        yield (
            f"{len(rest)} variants are of songs whose stems do not add up to the mixture: {songs}, expected "
            f"{HIGHEST_RESIDUAL_DB:.0f} dB of it or less. Their mixtures are the sums of the stems, without the rest."
        )
