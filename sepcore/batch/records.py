"""What is done, and what failed: a small record for each song below the output folder."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sepcore.batch.song import Outcome, Song
from sepcore.provider.checksum import file_sha256
from sepcore.separation.stem_files.options import STEM_MP4, StemFileOptions
from sepcore.separation.stem_files.song import file_times
from sepcore.system.atomic import write_text
from sepcore.system.locks import locked

RECORDS = ".separated"
# Counted up when stems that older versions wrote are no longer those of today.
_FORMAT = 1
# The files themselves say which stems there are, but for a stem.mp4, which holds them all. A page is made of stems that
# are done.
_CHOICE = {"stems", "residual"}
_TRIES = 10
# Of a stem's file: other audio differs everywhere, and to read all of it would take a tenth of the separation's time.
_SAMPLES, _SAMPLE_BYTES = 16, 1 << 16


@dataclass(frozen=True)
class SeparationRecord:
    """From what a song's stems were made, and which files they are; holds no path of the machine that made them.

    Attributes:
        song_sha256: Of the song's file, in hex.
        song_size: Of the song's file, in bytes.
        song_mtime_ns: When it was changed last.
        separator: `Separator.fingerprint` of the model and its settings.
        options: What else decides the stems, where it is not as by default.
        stems: Each stem's file relative to the output folder, with ``/``, and its size in bytes.
        audio_s: Seconds of audio in each stem.
        elapsed_s: Seconds that the separation took.
        format: Of records and stems.
        stem_times: When each stem's file was written, in nanoseconds, by the names in ``stems``; empty in a record of
            an earlier version. What another program wrote may have the same size.
        stem_samples: Digests of parts of each stem's file, see `_sampled`; compared only where its time is another, as
            in a copied folder.
    """

    song_sha256: str
    song_size: int
    song_mtime_ns: int
    separator: str
    options: Mapping[str, Any]
    stems: Mapping[str, int]
    audio_s: float
    elapsed_s: float
    format: int = _FORMAT
    stem_times: Mapping[str, int] = field(default_factory=dict)
    stem_samples: Mapping[str, str] = field(default_factory=dict)


def find_done(
    song: Song, separator: str, options: StemFileOptions, *, by_time: bool = False
) -> SeparationRecord | None:
    """The record of a song that is done: the same audio, model and options, and every stem there in full.

    Args:
        song: Where it was planned to go; the record counts wherever the output folder has been moved or copied to.
        separator: `Separator.fingerprint`.
        options: How stems are written.
        by_time: Take a song whose size and time of change are the recorded ones for the same without reading it, as
            befits a folder that is looked at every few seconds.

    Raises:
        OSError: the song's file cannot be read.
    """
    record = _read(record_path(song))
    if (
        record is None
        or record.format != _FORMAT
        or record.separator != separator
        or record.options != deciding_options(options)
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
    *,
    song_sha256: str,
    song_times: tuple[int, int],
    audio_s: float,
    elapsed_s: float,
) -> None:
    """Say that a song of this content, of the `file_times` that it was read with, is done; all its stems are there."""
    size, mtime_ns = song_times
    stems = {file.as_posix(): (song.out / file).stat() for _, file in song.stems}
    record = SeparationRecord(
        song_sha256=song_sha256,
        song_size=size,
        song_mtime_ns=mtime_ns,
        separator=separator,
        options=deciding_options(options),
        stems={name: found.st_size for name, found in stems.items()},
        stem_times={name: found.st_mtime_ns for name, found in stems.items()},
        stem_samples={name: _sampled(song.out / name) for name in stems},
        audio_s=audio_s,
        elapsed_s=elapsed_s,
    )
    write_text(record_path(song), json.dumps(asdict(record), indent=1) + "\n")


def remove_record(song: Song) -> None:
    """Say that a song is not done, before the first of its stems is replaced.

    Otherwise a process killed among them would leave stems of two models, of the sizes that the old record names.
    """
    record_path(song).unlink(missing_ok=True)


@contextmanager
def song_locked(song: Song, on_wait: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from separating a song to the same place, from the look at its record to the new record.

    Two commands with different models would otherwise record as done what holds stems of both.

    Args:
        song: Where it was planned to go.
        on_wait: Called now and then while another process separates it; may raise, to wait no longer.

    Raises:
        OSError: the output folder cannot be written to.
    """
    lock = record_path(song).with_suffix(".lock")
    with ExitStack() as stack:
        for tries_left in reversed(range(_TRIES)):
            if not lock.parent.exists():
                # Before the lock is taken, so that it happens after it is given back.
                stack.callback(_remove_if_empty, lock.parent)
            lock.parent.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locked(lock, f"separating {song.shown_name}", on_wait=on_wait))
                break
            except FileNotFoundError:  # another process had nothing to record, and has just removed the folder
                if not tries_left:
                    raise
        yield


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def remove_other_records(songs: Sequence[Song]) -> None:
    """Say of what was separated with another filename format that it is not done, where songs will take its files."""
    places = {song.out / file: record_path(song) for song in songs for _, file in song.stems}
    for out in {song.out for song in songs}:
        for path in (out / RECORDS).glob("*.json"):
            record = _read(path)
            if record and any(places.get(out / file, path) != path for file in record.stems):
                path.unlink(missing_ok=True)


def recorded_stems(out: Path) -> Iterator[Path]:
    """All files below ``out`` that records name as stems."""
    for path in (out / RECORDS).glob("*.json"):
        if record := _read(path):
            yield from (out / file for file in record.stems)


def record_path(song: Song) -> Path:
    """Where the record of a song is, or would be."""
    # By the slot, not by the stems: two models with some stems of one name replace each other's.
    return song.out / RECORDS / f"{hashlib.sha256(song.slot.encode(errors='surrogateescape')).hexdigest()[:24]}.json"


def _read(path: Path) -> SeparationRecord | None:
    """None if there is none, or none that this version can read: the song counts as not done."""
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
    """SHA-256 of blocks that are spread evenly over a file, in hex; of the whole file if it is short."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(number * max(0, size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def deciding_options(options: StemFileOptions) -> dict[str, Any]:
    """The options that decide what is in the stems, where they are not as by default.

    An option that comes with a later version thus leaves what is done done.
    """
    irrelevant = {"page", "bitrate" if options.is_lossless else "bits"}
    if options.codec != STEM_MP4:
        irrelevant |= _CHOICE
    # As JSON gives it back. In which order stems are named does not matter.
    return {
        field.name: sorted(value) if isinstance(value, tuple) else value
        for field in fields(options)
        if field.name not in irrelevant and (value := getattr(options, field.name)) != field.default
    }


_SUFFIX = ".failed"


@dataclass(frozen=True)
class FailedTry:
    """What was tried, and in vain; beside the records, so that every process that watches the folder knows of it.

    Attributes:
        song_size: Of the song's file, in bytes.
        song_mtime_ns: When it was changed last.
        separator: `Separator.fingerprint` of the model and its settings.
        options: What else decided the stems, where it was not as by default.
    """

    song_size: int
    song_mtime_ns: int
    separator: str
    options: dict[str, Any]

    @classmethod
    def at(cls, song: Song, separator: str, options: StemFileOptions) -> "FailedTry | None":
        """What a try would be now; None of a song that has just been moved away."""
        try:
            return cls(*file_times(song.path), separator, deciding_options(options))
        except OSError:
            return None

    def remember(self, song: Song, reason: str) -> None:
        """Note that it failed; OSError if the output folder takes no more."""
        write_text(_path(song), json.dumps(asdict(self) | {"reason": reason}, indent=1) + "\n")

    def failed_before(self, song: Song) -> Outcome | None:
        """What became of the same try in an earlier round; None if there was none."""
        try:
            content = json.loads(_path(song).read_bytes())
            reason = str(content.pop("reason"))
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None
        return Outcome(song.path, "failed", reason) if content == asdict(self) else None


def forget_failed_try(song: Song) -> None:
    """A song was separated after all."""
    _path(song).unlink(missing_ok=True)


def forget_failed_tries(out: Path) -> None:
    """Let every song of an output folder be tried once more: what was wrong may have been fixed elsewhere."""
    for path in (out / RECORDS).glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def _path(song: Song) -> Path:
    return record_path(song).with_suffix(_SUFFIX)
