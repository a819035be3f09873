"""Measures of a song's files, taken in one pass over their samples."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sepcore.dataset.check.levels import LevelMeter, energy, to_db
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioDecodeError
from sepcore.signal.audio_reader import NativeAudio, open_native
from sepcore.system.os_errors import reason_of

# Small enough for the processor's cache, so that all measures together read a block from memory once.
_BLOCK_SAMPLES = 44_100

Block = NDArray[np.float32]
SongMeasures = tuple["FileMeasures", ...]
"""The measures of a song: the mixture's, then the stems' in the order of the config."""


@dataclass(frozen=True, slots=True)
class FileMeasures:
    """One audio file of a song, at its own rate and in its own channels."""

    signal: str  # the mixture's name or the instrument's
    path: str  # absolute
    size: int  # in bytes
    mtime_ns: int  # when its content was changed
    ctime_ns: int  # when its content, name or rights were changed
    sha256: str = ""  # of its bytes, in hex
    audio_hash: str = ""  # of its samples, rate and channels, in hex: the same for a wav file and its flac copy
    sample_rate: int = 0  # in Hz
    num_channels: int = 0  # of its first audio stream
    num_samples: int = 0  # decoded, per channel
    peak: float = 0.0  # largest absolute value, 1 being full scale
    rms_db: float = 0.0  # over all channels, in dBFS, at least -180
    silence_share: float = 0.0  # the share of its 0.1 s frames with an RMS below -60 dBFS
    num_nan: int = 0  # values that are NaN or infinite
    num_clipped: int = 0  # values in flat tops at full scale, see `LevelMeter`
    # Why it cannot be used, without its path: it is missing, cannot be decoded, or changed while being read. Then
    # the hashes are "" and the numbers of its audio 0.
    error: str | None = None
    # RMS of the mixture minus the sum of its stems, relative to the mixture's, over the length that all files
    # have. None for a stem, if a file has an error or NaNs, if rates or channels differ, or if the mixture is all
    # zeros.
    residual_db: float | None = None

    @property
    def duration_s(self) -> float:
        """Length of its audio in seconds."""
        return self.num_samples / self.sample_rate if self.sample_rate else 0.0

    def is_current(self) -> bool:
        """Whether the file is unchanged, by its size and times."""
        return _identity(Path(self.path)) == (self.size, self.mtime_ns, self.ctime_ns)


def measure_song(row: TrackRow, *, mix_name: str) -> SongMeasures:
    """Measure all files of a song, each decoded once, in memory that does not depend on their length.

    A file that cannot be used has an `error`; the others are measured all the same.

    Raises:
        FfmpegMissing: ffmpeg is needed but not installed.
    """
    names = (mix_name, *(instrument for instrument, _ in row.stems))
    mixture_energy = rest_energy = 0.0
    with ExitStack() as stack:
        files = [stack.enter_context(_FileReader(name, path)) for name, path in zip(names, row.files, strict=True)]
        comparable = len({file.form for file in files}) == 1
        while present := [block for file in files if (block := file.read()) is not None]:
            if comparable and len(present) == len(files):
                of_mixture, of_rest = _energies(present)
                mixture_energy, rest_energy = mixture_energy + of_mixture, rest_energy + of_rest
        mixture, *stems = (file.measures() for file in files)
    if comparable and mixture_energy and not any(file.error or file.num_nan for file in (mixture, *stems)):
        mixture = replace(mixture, residual_db=to_db(rest_energy / mixture_energy))
    return (mixture, *stems)


class _FileReader:
    """Reads one file and measures it; a failure ends the reading and becomes the file's error."""

    def __init__(self, signal: str, path: Path) -> None:
        self._signal = signal
        self._path = path
        self._before = _identity(path)
        self._sha256 = ""
        self._audio: NativeAudio | None = None
        self._error: str | None = None
        self._hash = hashlib.blake2b(digest_size=16)

    def __enter__(self) -> Self:
        with self._failure_kept(), self._path.open("rb") as file:
            self._sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            self._audio = audio = open_native(self._path, block_samples=_BLOCK_SAMPLES)
            self._levels = LevelMeter(audio.sample_rate, audio.num_channels)
            self._hash.update(f"{audio.sample_rate} Hz {audio.num_channels} channels".encode())
        return self

    def __exit__(self, *_: object) -> None:
        if self._audio:
            self._audio.blocks.close()

    @contextmanager
    def _failure_kept(self) -> Iterator[None]:
        try:
            yield
        except AudioDecodeError as error:
            self._error = error.problem
        except OSError as error:
            self._error = f"cannot be read ({reason_of(error)})"

    @property
    def form(self) -> tuple[int, int] | None:
        """Rate and channels; None if the file cannot be opened."""
        return (self._audio.sample_rate, self._audio.num_channels) if self._audio else None

    def read(self) -> Block | None:
        """The next block, with NaN replaced by 0; None at the end."""
        block = None
        if self._audio and not self._error:
            with self._failure_kept():
                block = next(self._audio.blocks, None)
        if block is None:
            return None
        self._hash.update(np.ascontiguousarray(block).data)
        return self._levels.add(block)

    def measures(self) -> FileMeasures:
        """The measures, once everything is read."""
        if _identity(self._path) != self._before:
            self._error = "has changed while it was read"
        size, mtime_ns, ctime_ns = self._before or (0, 0, 0)
        found = FileMeasures(self._signal, str(self._path.absolute()), size, mtime_ns, ctime_ns, error=self._error)
        if self._error or not self._audio:
            return found
        return replace(
            found,
            sha256=self._sha256,
            audio_hash=self._hash.hexdigest(),
            sample_rate=self._audio.sample_rate,
            num_channels=self._audio.num_channels,
            num_samples=self._levels.num_samples,
            peak=self._levels.peak,
            rms_db=self._levels.rms_db,
            silence_share=self._levels.silence_share,
            num_nan=self._levels.num_nan,
            num_clipped=self._levels.num_clipped,
        )


def _energies(blocks: Sequence[Block]) -> tuple[float, float]:
    """Of the mixture, and of the mixture minus its stems, up to the end of the shortest block."""
    length = min(len(block) for block in blocks)
    mixture, *stems = (block[:length] for block in blocks)
    rest = mixture.copy()
    for stem in stems:
        rest -= stem
    return energy(mixture), energy(rest)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
