"""Findings: what a song's measures mean for a model, and how to fix it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.levels import SILENCE_DB
from sepcore.dataset.check.measure import FileMeasures, SongMeasures
from sepcore.dataset.manifest import TrackRow

Severity = Literal["left out", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("left out", "warning", "note")  # the gravest first

SHARED_SONG_CURE = "Take it out of one of the CSVs: a score on a song that was trained on says nothing."
LONGEST_DURATION_ERROR_S = 0.5
LONGEST_STEM_DIFFERENCE_S = 0.05
# Stems that differ by more than this are damaged or from another song; scoring refuses them.
REFUSED_STEM_DIFFERENCE_S = 1.0
HIGHEST_RESIDUAL_DB = -15.0
LARGEST_CLIPPED_SHARE = 0.001
# Decoded mp3s reach 1.5; larger values are integers in a float file, or a lost factor.
HIGHEST_PEAK = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about a song."""

    # left out: the song cannot be used; warning: it is used, but something is probably wrong; note: it is converted.
    severity: Severity
    reason: str  # what was found, with its numbers, in one line
    cure: str  # how to fix it; the same text for the same kind of finding

    def __str__(self) -> str:
        return f"{self.severity}: {self.reason}. {self.cure}"


def find_issues(row: TrackRow, files: SongMeasures, config: ModelConfig, *, for_training: bool) -> tuple[Finding, ...]:
    """All findings about one song; no files are read.

    Training and validation require the config's number of channels and at least the frames of one segment; scoring
    (not ``for_training``) does not.
    """
    broken = [file for file in files if file.error]
    if broken:
        cure = "Make the file whole (export or download it again) and check again, or take the row out."
        return tuple(Finding("left out", f"{file.signal}: {file.path}: {file.error}", cure) for file in broken)
    return (
        *_unusable_samples(files),
        *(_unusable_for_training(files, config) if for_training else ()),
        *_lengths(row, files, config, for_training=for_training),
        *_relations(files),
        *_levels(files),
        *_conversions(files, config),
    )


def common_samples(files: Iterable[FileMeasures], config: ModelConfig) -> int:
    """The length of a song's shortest file, in samples at the config's rate."""
    return min(file.num_samples * config.sample_rate // file.sample_rate if file.sample_rate else 0 for file in files)


def is_silent(file: FileMeasures) -> bool:
    """Whether a file is below -60 dBFS throughout."""
    return file.silence_share == 1


def _unusable_samples(files: SongMeasures) -> Iterator[Finding]:
    for file in files:
        if file.num_nan:
            yield Finding(
                "left out",
                f"{file.signal} has {file.num_nan} sample(s) that are NaN or infinite ({file.path})",
                "Export the file again without them.",
            )


def _unusable_for_training(files: SongMeasures, config: ModelConfig) -> Iterator[Finding]:
    if others := [file for file in files if file.num_channels != config.num_channels]:
        yield Finding(
            "left out",
            f"{_by_value(others, 'num_channels')} channel(s), n_channels is {config.num_channels}",
            f"Convert the song to {config.num_channels} channel(s), or set n_channels: training takes no other.",
        )
    samples = min(common_samples(files, config), config.chunk_samples)
    frames = max(1 + (samples - config.frame_length) // config.hop_length, 0)
    if frames < config.segment_frames:
        needed = (config.segment_frames - 1) * config.hop_length + config.frame_length
        shortest = min(files, key=lambda file: file.duration_s)
        yield Finding(
            "left out",
            f"{shortest.signal} is {shortest.duration_s:.2f} s long: {frames} STFT frames, T needs "
            f"{config.segment_frames}",
            f"Take a recording of {needed / config.sample_rate:.2f} s or more, or lower T in the config.",
        )


def _lengths(row: TrackRow, files: SongMeasures, config: ModelConfig, *, for_training: bool) -> Iterator[Finding]:
    length_s = files[0].duration_s
    if abs(row.duration_s - length_s) > LONGEST_DURATION_ERROR_S:
        part = f"the first {min(row.duration_s, length_s):.2f} s"
        if config.chunks_per_song == "all":
            part = f'all of it, as n_chunks_per_song is "{config.chunks_per_song}"'
        yield Finding(
            "warning",
            f"duration says {row.duration_s:.2f} s, {files[0].signal} has {length_s:.2f} s: "
            f"chunks are taken from {part}",
            "Put the file's length into the CSV's duration.",
        )
    if others := _other_lengths(files):
        what = length_differences(files)
        if not for_training and max(abs(seconds) for _, seconds in others) > REFUSED_STEM_DIFFERENCE_S:
            yield Finding("left out", what, "Correct the row's paths, or cut or pad the stems to the mixture's length.")
        else:
            now = "chunks are cut" if for_training else "it is scored up"
            yield Finding("warning", what, f"Cut or pad the stems to the mixture's length; now {now} to the shortest.")


def length_differences(files: SongMeasures) -> str:
    """Which stems are longer or shorter than the mixture, and by how much; "" if none is."""
    described = [f"{name} is {abs(s):.2f} s {'longer' if s > 0 else 'shorter'}" for name, s in _other_lengths(files)]
    return f"{_list(described)} than {files[0].signal}" if described else ""


def _other_lengths(files: SongMeasures) -> list[tuple[str, float]]:
    differences = ((file.signal, file.duration_s - files[0].duration_s) for file in files[1:])
    return [(name, seconds) for name, seconds in differences if abs(seconds) > LONGEST_STEM_DIFFERENCE_S]


def _relations(files: SongMeasures) -> Iterator[Finding]:
    by_content: dict[str, list[str]] = {}
    for file in files:
        if not is_silent(file):
            by_content.setdefault(file.audio_hash, []).append(file.signal)
    for signals in by_content.values():
        if len(signals) > 1:
            yield Finding(
                "warning",
                f"{_list(signals)} are the same audio",
                "Correct the paths: each signal needs a recording of its own.",
            )
    if files[0].residual_db is not None and files[0].residual_db > HIGHEST_RESIDUAL_DB:
        yield Finding(
            "warning",
            f"the stems do not add up to {files[0].signal}: the difference is at {files[0].residual_db:.1f} dB "
            f"of it, expected {HIGHEST_RESIDUAL_DB:.0f} dB or less",
            "Check that the stems are this song's, in time and at their level in the mixture, and that none is missing "
            "but those the model is not meant to learn.",
        )


def _levels(files: SongMeasures) -> Iterator[Finding]:
    for file in files:
        if is_silent(file):
            yield Finding(
                "warning",
                f"{file.signal} is silent (never above {SILENCE_DB:.0f} dBFS)",
                "Check the file, or take the row out: there is nothing to learn from it."
                if file is files[0]
                else "Check the file; if the song has no such instrument, leave it: the model learns the silence.",
            )
        clipped = file.num_clipped / (file.num_samples * file.num_channels)
        if clipped > LARGEST_CLIPPED_SHARE:
            yield Finding(
                "warning",
                f"{file.signal} is clipped: {clipped:.1%} of its samples are flat tops at full scale",
                "Export it again at a lower level.",
            )
        if file.peak > HIGHEST_PEAK:
            yield Finding(
                "warning",
                f"{file.signal} has a peak of {file.peak:.4g}, full scale is 1",
                "Scale the samples to [-1, 1]; they look like integers in a file of floats.",
            )


def _conversions(files: SongMeasures, config: ModelConfig) -> Iterator[Finding]:
    if others := [file for file in files if file.sample_rate != config.sample_rate]:
        yield Finding(
            "note",
            f"{_by_value(others, 'sample_rate')} Hz, resampled to {config.sample_rate} Hz",
            "Nothing to do; files at the config's rate are read faster.",
        )
    if len({(file.sample_rate, file.num_channels) for file in files}) > 1:
        yield Finding(
            "note",
            "its files differ in rate or channels, so it was not checked whether the stems add up",
            "Convert them to one rate and number of channels to have that checked.",
        )


def _by_value(files: Sequence[FileMeasures], attribute: str) -> str:
    signals: dict[int, list[str]] = {}
    for file in files:
        signals.setdefault(getattr(file, attribute), []).append(file.signal)
    return _list([f"{_list(names)}: {value}" for value, names in signals.items()])


def _list(parts: Iterator[str] | list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
