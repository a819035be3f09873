"""Uncompressed and flac files through libsndfile, which starts no process: only where ffmpeg gives the same samples."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

# Of these the tests say that both libraries give the same samples; of mp3, ogg and ADPCM they do not.
_FORMATS = {"AIFF", "FLAC", "RF64", "W64", "WAV", "WAVEX"}
# Nothing else is given to libsndfile: its mp3 reader writes its own remarks on stderr.
_FIRST_BYTES = (b"FORM", b"RF64", b"RIFF", b"fLaC", b"riff")
_SUBTYPES = {"DOUBLE", "FLOAT", "PCM_16", "PCM_24", "PCM_32", "PCM_S8", "PCM_U8"}

# What libsndfile notes of a file whose lengths contradict each other. A chunk that it only does not know is no fault.
_FAULT = re.compile(r"should be|^Error|^\*\*\*(?!.*\(unknown marker\))", re.MULTILINE)
# Its notes end after 2048 bytes; what a full page leaves out is not known.
_LONGEST_NOTES = 2000
_UNKNOWN_LENGTH = 2**63 - 1


@dataclass(frozen=True)
class SndfileInfo:
    """A file that libsndfile reads as ffmpeg does: its sample rate in Hz, its channels, its samples."""

    sample_rate: int
    num_channels: int
    num_samples: int


def probe_sndfile(path: Path) -> SndfileInfo | None:
    """What a sound wav, w64, rf64, aiff or flac file says about itself, whatever its name.

    None for all others, and where anything is in doubt: a file that is missing or empty, a header that promises more
    than the file holds, a data chunk without a length.
    """
    if not path.is_file():  # opening a pipe would take what it holds
        return None
    with suppress(OSError, soundfile.SoundFileError):
        return _probe(path) if _is_known(path) else None
    return None


def read_sndfile(
    path: Path, *, start: int, num_samples: int, block_samples: int
) -> Generator[NDArray[np.float32], None, None]:
    """Decode an excerpt of a file that `probe_sndfile` takes.

    Args:
        path: The file.
        start: First sample, found by seeking.
        num_samples: Length; the excerpt must lie within the file.
        block_samples: Length of a block.

    Yields:
        float32 ``(block_samples, channels)``, NaN let through, the last one shorter. Ends after the last whole block
        before the first damage.
    """
    with suppress(OSError, soundfile.SoundFileError), _opened(path) as file:
        file.seek(start)
        while num_samples:
            wanted = min(block_samples, num_samples)
            block: NDArray[np.float32] = file.read(wanted, dtype="float32", always_2d=True)
            if len(block) < wanted:
                return
            num_samples -= wanted
            yield block


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    # By its descriptor: a name would have to be Unicode, and could mean something by its extension.
    with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as opened:
        yield opened


def _probe(path: Path) -> SndfileInfo | None:
    with _opened(path) as file:
        notes = file.extra_info
        sound = (
            file.format in _FORMATS
            and file.subtype in _SUBTYPES
            and 0 < file.frames < _UNKNOWN_LENGTH
            and len(notes) < _LONGEST_NOTES
            and not _FAULT.search(notes)
        )
        return SndfileInfo(file.samplerate, file.channels, file.frames) if sound else None


def _is_known(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _FIRST_BYTES
