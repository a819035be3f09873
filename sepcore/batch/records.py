"""What is done, and what failed: a small file for each song below the output folder."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sepcore.batch.song import Outcome, Song
from sepcore.provider.checksum import file_sha256
from sepcore.separation.stem_files.options import STEM_MP4, StemFileOptions
from sepcore.separation.stem_files.song import file_times
from sepcore.system.atomic import write_text

RECORDS = ".separated"
# Incremented when stems of earlier versions are no longer valid.
_FORMAT = 1
# The stems' files show these choices, except for a stem.mp4, which holds all stems.
_CHOICE = {"stems", "residual"}
# Other audio differs in all parts of a file, and reading all of it would take a tenth of the separation's time.
_SAMPLES, _SAMPLE_BYTES = 16, 1 << 16
_FAILED = ".failed"


@dataclass(frozen=True)
class SeparationRecord:
    """What a song's stems were made from, and which files they are, without any path of the machine."""

    song_sha256: str
    song_size: int
    song_mtime_ns: int
    separator: str
    """From `Separator.fingerprint`: the model and its settings."""
    options: Mapping[str, Any]
    """The other options that decide what the stems are, where they are not the default."""
    stems: Mapping[str, int]
    """Size in bytes of each stem's file, by its path relative to the output folder, with ``/``."""
    audio_s: float
    """Of each stem."""
    elapsed_s: float
    """How long the separation took."""
    format: int = _FORMAT
    stem_times: Mapping[str, int] = field(default_factory=dict)
    """When each file in ``stems`` was written, in ns, since another program's may have the same size; empty in records
    of earlier versions."""
    stem_samples: Mapping[str, str] = field(default_factory=dict)
    """From `_sampled`, for each file in ``stems``; compared only if its time differs, as in a copied folder."""


def find_done(
    song: Song, separator: Callable[[], str], options: StemFileOptions, *, by_time: bool = False
) -> SeparationRecord | None:
    """The record of a song that is done: same audio, model and options, and every stem complete.

    The model's fingerprint is asked of ``separator`` only where there is a record.

    It also counts if the output folder has been moved or copied. With ``by_time`` a song is not read if its size and
    time of change are the recorded ones, for a folder that is checked every few seconds.

    Raises:
        OSError: the song cannot be read.
    """
    record = _read(record_path(song))
    if (
        record is None
        or record.format != _FORMAT
        or record.separator != separator()
        or record.options != _deciding_options(options)
        or set(record.stems) != {file.as_posix() for _, file in song.stems}
        or not all(_is_there(song.out / file, file, record) for file in record.stems)
    ):
        return None
    if by_time and file_times(song.path) == (record.song_size, record.song_mtime_ns):
        return record
    # Last, since it reads the whole song.
    return record if record.song_sha256 == file_sha256(song.path) else None


def write_record(
    song: Song,
    separator: str,
    options: StemFileOptions,
    outcome: Outcome,
    *,
    song_sha256: str,
    song_times: tuple[int, int],
) -> None:
    """Record that a song, with this content and these `file_times`, is done and all its stems are written."""
    stems = {file.as_posix(): (song.out / file).stat() for _, file in song.stems}
    record = SeparationRecord(
        song_sha256,
        *song_times,
        separator,
        _deciding_options(options),
        stems={name: found.st_size for name, found in stems.items()},
        stem_times={name: found.st_mtime_ns for name, found in stems.items()},
        stem_samples={name: _sampled(song.out / name) for name in stems},
        audio_s=outcome.audio_s,
        elapsed_s=outcome.elapsed_s,
    )
    write_text(record_path(song), json.dumps(asdict(record), indent=1) + "\n")


def remove_record(song: Song) -> None:
    """Record that a song is not done, before the first of its stems is replaced.

    If the process is then killed, no record takes stems of two models for those of one.
    """
    record_path(song).unlink(missing_ok=True)


def remove_other_records(songs: Sequence[Song]) -> None:
    """Remove the records of what was separated with another filename format into files that these songs will take."""
    places = {song.out / file: record_path(song) for song in songs for _, file in song.stems}
    for out in {song.out for song in songs}:
        for path, record in _records(out):
            if any(places.get(out / file, path) != path for file in record.stems):
                path.unlink(missing_ok=True)


def recorded_stems(out: Path) -> Iterator[Path]:
    """All files below ``out`` that records name as stems."""
    for _, record in _records(out):
        yield from (out / file for file in record.stems)


def _records(out: Path) -> Iterator[tuple[Path, SeparationRecord]]:
    for path in (out / RECORDS).glob("*.json"):
        if record := _read(path):
            yield path, record


def record_path(song: Song) -> Path:
    """The file of a song's record."""
    # By the slot and not by the stems: two models that share some stems' names replace each other's.
    return song.out / RECORDS / f"{hashlib.sha256(song.slot.encode(errors='surrogateescape')).hexdigest()[:24]}.json"


def _read(path: Path) -> SeparationRecord | None:
    """None if there is no record that this version can read: the song counts as not done."""
    try:
        record = SeparationRecord(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    by_stem = (record.stems, record.stem_times, record.stem_samples)
    return record if all(isinstance(values, dict) for values in by_stem) else None


def _is_there(path: Path, name: str, record: SeparationRecord) -> bool:
    """Whether a stem's file is the recorded one."""
    try:
        found = path.stat()
        if found.st_size != record.stems[name]:
            return False
        if not record.stem_times or found.st_mtime_ns == record.stem_times.get(name):
            return True
        return record.stem_samples.get(name) == _sampled(path)
    except OSError:
        return False


def _sampled(path: Path) -> str:
    """SHA-256 of blocks spread evenly over a file, in hex; of all of a short file."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(number * max(0, size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _deciding_options(options: StemFileOptions) -> dict[str, Any]:
    """The options that decide what is in the stems, where they are not the default.

    So songs stay done when a later version adds an option.
    """
    irrelevant = {"page", "bitrate" if options.is_lossless else "bits"}
    if options.codec != STEM_MP4:
        irrelevant |= _CHOICE
    # In the form that JSON gives back; the order in which stems are named does not matter.
    return {
        field.name: sorted(value) if isinstance(value, tuple) else value
        for field in fields(options)
        if field.name not in irrelevant and (value := getattr(options, field.name)) != field.default
    }


@dataclass(frozen=True)
class FailedTry:
    """A failed try at a song of a watched folder, which is repeated when something has changed, not every round.

    It is kept beside the records, so that every process that watches the folder knows it.
    """

    song_size: int
    song_mtime_ns: int
    separator: str
    """From `Separator.fingerprint`."""
    options: dict[str, Any]

    @classmethod
    def at(cls, song: Song, separator: str, options: StemFileOptions) -> "FailedTry | None":
        """What would be tried now; None if the song has just been moved away."""
        try:
            return cls(*file_times(song.path), separator, _deciding_options(options))
        except OSError:
            return None

    def remember(self, song: Song, reason: str) -> None:
        """Record that it failed; OSError if the output folder cannot be written to."""
        write_text(_failed_path(song), json.dumps(asdict(self) | {"reason": reason}, indent=1) + "\n")

    def failed_before(self, song: Song) -> Outcome | None:
        """The outcome of the same try in an earlier round, if there was one."""
        try:
            content = json.loads(_failed_path(song).read_bytes())
            reason = str(content.pop("reason"))
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None
        return Outcome(song.path, "failed", reason) if content == asdict(self) else None


def forget_failed_try(song: Song) -> None:
    """Forget it, since the song was separated after all."""
    _failed_path(song).unlink(missing_ok=True)


def forget_failed_tries(out: Path) -> None:
    """Let every song of an output folder be tried again: the cause may have been fixed elsewhere."""
    for path in (out / RECORDS).glob(f"*{_FAILED}"):
        path.unlink(missing_ok=True)


def _failed_path(song: Song) -> Path:
    return record_path(song).with_suffix(_FAILED)
