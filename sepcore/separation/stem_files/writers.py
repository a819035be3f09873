"""The last steps of a stem on its way into its file: channels, rate, level, what lies beyond full scale."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from sepcore.separation.stem_files.options import STEM_MP4, StemFileOptions
from sepcore.separation.stem_files.sinks import Blocks, Sink, Write, written_together
from sepcore.separation.stem_files.stem_mp4 import stem_mp4_writer
from sepcore.signal.audio_writer import AudioWriter
from sepcore.signal.tags import SongTags

_logger = logging.getLogger(__name__)
_CLAMPED = "%s: %s: %d samples lie beyond full scale and are clamped; --clipping rescale turns the stems down instead"

# A quarter of Spleeter's would be audible in a file that is to be mixed from again; MUSDB18 has this.
_STEM_MP4_BITRATE = "256k"
_DEFAULT_BITRATE = StemFileOptions.bitrate


@dataclass(frozen=True)
class StemFormat:
    """What comes out of the model and what goes into a song's files.

    Attributes:
        song: The song's name, for messages.
        options: How files are written.
        model_rate: Of what comes, in Hz.
        rate: Of what goes, in Hz.
        model_channels: Of what comes.
        channels: Of what goes: as many, or one.
        total: Samples of each file, where that is known beforehand.
        tags: For formats that have them.
        gain: Factor of all stems.
    """

    song: str
    options: StemFileOptions
    model_rate: int
    rate: int
    model_channels: int
    channels: int
    total: int | None = None
    tags: SongTags | None = None
    gain: float = 1.0


class StemChain:
    """Brings one stem, block by block, to the channels and the rate of its file."""

    def __init__(self, form: StemFormat) -> None:
        self._mono = form.channels < form.model_channels
        self._resampler = Resampler(form.model_rate, form.rate, form.channels, total=form.total)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 ``(samples, model_channels)`` to ``(samples, channels)``, of which some may follow later."""
        if self._mono:
            block = block.mean(axis=1, keepdims=True, dtype=np.float32)
        return self._resampler.push(block)

    def finish(self) -> NDArray[np.float32]:
        """What is left at the end."""
        return self._resampler.finish()


class _Limiter:
    """Applies the gain, and sees to samples beyond full scale."""

    def __init__(self, form: StemFormat, name: str) -> None:
        options = form.options
        self._gain = np.float32(form.gain)
        self._clamps = options.clipping == "clamp" or (options.clipping is None and options.is_integer)
        self._song, self._name, self._clamped = form.song, name, 0

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._gain != 1:
            block = block * self._gain
        if self._clamps and len(block) and max(block.max(), -block.min()) > 1:
            self._clamped += int(np.count_nonzero(np.abs(block) > 1))
            block = np.clip(block, -1, 1)
        return block

    def tell(self) -> None:
        if self._clamped:
            _logger.warning(_CLAMPED, self._song, self._name, self._clamped)


@contextmanager
def stem_file(path: Path, names: Sequence[str], form: StemFormat) -> Iterator[Write]:
    """Write one file of a song: one stem, or as ``stem.mp4`` the mixture and several.

    Args:
        path: Where it shall stand; see `AudioWriter` and `stem_mp4_writer`, which also say what is raised.
        names: The stem; or the mixture and the stems.
        form: What comes and what goes.

    Yields:
        What appends blocks of these stems, float32 ``(samples, form.model_channels)``.
    """
    with _encoder(path, names, form) as encode:
        chains = {name: StemChain(form) for name in names}
        limiters = {name: _Limiter(form, name) for name in names}

        def write(blocks: Blocks) -> None:
            encode({name: limiters[name](chain.push(blocks[name])) for name, chain in chains.items()})

        yield write
        encode({name: limiters[name](chain.finish()) for name, chain in chains.items()})
    for limiter in limiters.values():
        limiter.tell()


@contextmanager
def _encoder(path: Path, names: Sequence[str], form: StemFormat) -> Iterator[Write]:
    """What appends blocks in their final form."""
    options = form.options
    if options.codec == STEM_MP4:
        bitrate = _STEM_MP4_BITRATE if options.bitrate == _DEFAULT_BITRATE else options.bitrate
        with stem_mp4_writer(
            path, names[1:], sample_rate=form.rate, num_channels=form.channels, bitrate=bitrate, tags=form.tags
        ) as write:
            yield write
    else:
        (name,) = names
        with AudioWriter(
            path,
            sample_rate=form.rate,
            num_channels=form.channels,
            codec=options.codec,
            bits=options.bits,
            bitrate=options.bitrate,
            tags=form.tags,
        ) as writer:
            yield lambda blocks: writer.write(blocks[name])


def write_files(files: Mapping[tuple[str, ...], Path], form: StemFormat, blocks: Iterable[Blocks]) -> None:
    """Write all files of a song, each in a thread of its own; after an error, whosever it is, there is none.

    They get their names when the last of them is complete, see `written_together`.

    Args:
        files: Each file with the names of what it holds.
        form: What comes and what goes.
        blocks: All stems, block by block; see `stem_file`.
    """
    with ExitStack() as stack:
        drafts = stack.enter_context(written_together(files.values()))
        sinks = [
            stack.enter_context(Sink(partial(stem_file, drafts[path], names, form), names))
            for names, path in files.items()
        ]
        for sink in sinks:
            sink.start()
        for block in blocks:
            for sink in sinks:
                sink.write(block)


class Resampler:
    """Brings a waveform to another rate piece by piece, in memory that does not depend on its length.

    Args:
        given_hz: Rate of what comes in.
        wanted_hz: Rate of what goes out.
        num_channels: Of both.
        total: Samples to hand out in all, where that is known better than by the ratio of the rates.

    In all ``round(samples * wanted_hz / given_hz)`` samples come out, in step with those that went in. Rates that are
    equal hand the pieces through.

    References:
        R. Sykes, the SoX resampler library (libsoxr), quality HQ.
    """

    def __init__(self, given_hz: int, wanted_hz: int, num_channels: int, *, total: int | None = None) -> None:
        self._ratio = wanted_hz / given_hz
        self._num_channels, self._total = num_channels, total
        self._stream = None
        if given_hz != wanted_hz:
            self._stream = soxr.ResampleStream(given_hz, wanted_hz, num_channels, dtype="float32", quality="HQ")
        self._received = self._sent = 0

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a piece, float32 ``(samples, num_channels)``; hand out what can be said so far, maybe nothing."""
        self._received += len(block)
        if self._stream is None:
            return block
        return self._handed_out(self._stream.resample_chunk(np.ascontiguousarray(block)))

    def finish(self) -> NDArray[np.float32]:
        """The rest, after the last piece."""
        nothing = np.zeros((0, self._num_channels), np.float32)
        if self._stream is None:
            return nothing
        total = round(self._received * self._ratio) if self._total is None else self._total
        rest = self._stream.resample_chunk(nothing, last=True)
        missing = max(total - self._sent, 0)
        padded = np.pad(rest[:missing], [(0, max(missing - len(rest), 0)), (0, 0)])
        return self._handed_out(padded.astype(np.float32, copy=False))

    def _handed_out(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        self._sent += len(block)
        return block
