"""From a model's stems to a song's files: channels, sample rate, level, samples beyond full scale."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.separation.stem_files.options import STEM_MP4, StemFileOptions
from sepcore.separation.stem_files.sinks import Blocks, Sink, Write, final_names, written_together
from sepcore.separation.stem_files.stem_mp4 import stem_mp4_writer
from sepcore.signal.audio_reader import open_native
from sepcore.signal.audio_writer import AudioWriter, named_errors, refuse_folder
from sepcore.signal.resampler import Resampler
from sepcore.signal.tags import SongTags
from sepcore.system.atomic import temporary_folder

_logger = logging.getLogger(__name__)
_CLAMPED = "%s: %s: %d samples lie beyond full scale and are clamped; --clipping rescale turns the stems down instead"
_TURNED_DOWN = "%s: all stems turned down by %.1f dB, since one reaches %.2f times full scale"

# A quarter of it, Spleeter's, would be audible in a file made for mixing; MUSDB18 has this.
_STEM_MP4_BITRATE = "256k"
_DEFAULT_BITRATE = StemFileOptions.bitrate
# The highest 16-bit sample: full scale itself is one step beyond.
_HIGHEST = 1 - 2.0**-15


@dataclass(frozen=True)
class StemFormat:
    """What a model's stems are, and what a song's files shall be."""

    song: str
    """The song's name, for messages."""
    options: StemFileOptions
    model_rate: int
    rate: int
    """Of the files, in Hz."""
    model_channels: int
    channels: int
    """Of the files: as many as the model's, or one."""
    total: int | None = None
    """Samples of each file, where that is known beforehand."""
    tags: SongTags | None = None
    gain: float = 1.0
    """Factor of all stems."""


def write_files(files: Mapping[tuple[str, ...], Path], form: StemFormat, blocks: Iterable[Blocks]) -> None:
    """Write all files of a song, each by its own thread; they get their names together, and after an error none does.

    ``files`` has each file by the names of the stems in it; ``blocks`` have all stems, ``(samples, model_channels)``.

    Raises:
        AudioEncodeError: a file cannot be written.
    """
    with ExitStack() as stack:
        drafts = stack.enter_context(written_together(files.values()))
        sinks = [
            stack.enter_context(Sink(partial(_stem_file, drafts[path], names, form), names))
            for names, path in files.items()
        ]
        for sink in sinks:
            sink.start()
        for block in blocks:
            for sink in sinks:
                sink.write(block)


def write_rescaled(files: Mapping[tuple[str, ...], Path], form: StemFormat, blocks: Iterable[Blocks]) -> None:
    """As `write_files`; if a stem exceeds full scale, all are turned down by one factor, so that they still add up.

    The factor is known only at the end: until then the stems are kept as floats in temporary files beside the first
    file, with twice the size of 16-bit wav.
    """
    names = [name for stems in files for name in stems]
    for path in files.values():
        refuse_folder(path)  # before hours of work, not after
    with ExitStack() as stack:
        first = next(iter(files.values()))
        with named_errors(first):
            folder = stack.enter_context(temporary_folder(first))
        spools = {name: folder / f"{number}.wav" for number, name in enumerate(names)}
        with final_names({spools[name]: path for stems, path in files.items() for name in stems}):
            floats = replace(form.options, codec="wav", bits=32, clipping="none")
            singly: dict[tuple[str, ...], Path] = {(name,): spool for name, spool in spools.items()}
            write_files(singly, replace(form, options=floats, tags=None), blocks)
        peak = max(_peak(spool) for spool in spools.values())
        gain = 1.0 if peak <= 1 else _HIGHEST / peak
        if gain < 1:
            _logger.warning(_TURNED_DOWN, form.song, -20 * np.log10(gain), peak)
        # The spooled stems have their final rate and channels.
        final = replace(form, model_rate=form.rate, model_channels=form.channels, total=None, gain=gain)
        streams = zip(*(open_native(spool).blocks for spool in spools.values()), strict=True)
        write_files(files, final, (dict(zip(spools, parts, strict=True)) for parts in streams))


def _peak(path: Path) -> float:
    return max((float(np.abs(block).max()) for block in open_native(path).blocks), default=0.0)


@contextmanager
def _stem_file(path: Path, names: Sequence[str], form: StemFormat) -> Iterator[Write]:
    """Write one file of a song: one stem, or as ``stem.mp4`` the mixture and several."""
    with _encoder(path, names, form) as encode:
        chains = {name: _StemChain(form) for name in names}

        def write(blocks: Blocks) -> None:
            encode({name: chain.push(blocks[name]) for name, chain in chains.items()})

        yield write
        encode({name: chain.finish() for name, chain in chains.items()})
    for name, chain in chains.items():
        if chain.num_clamped:
            _logger.warning(_CLAMPED, form.song, name, chain.num_clamped)


@contextmanager
def _encoder(path: Path, names: Sequence[str], form: StemFormat) -> Iterator[Write]:
    """Yield a function that appends blocks in their final form."""
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


class _StemChain:
    """Brings one stem, block by block, to the form of its file."""

    def __init__(self, form: StemFormat) -> None:
        options = form.options
        self._mono = form.channels < form.model_channels
        self._resampler = Resampler(form.model_rate, form.rate, form.channels, total=form.total)
        self._gain = np.float32(form.gain)
        self._clamps = options.clipping == "clamp" or (options.clipping is None and options.is_integer)
        self.num_clamped = 0

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 ``(samples, model_channels)`` to ``(samples, channels)``, of which some may follow later."""
        if self._mono:
            block = block.mean(axis=1, keepdims=True, dtype=np.float32)
        return self._limited(self._resampler.push(block))

    def finish(self) -> NDArray[np.float32]:
        """The rest, after the last block."""
        return self._limited(self._resampler.finish())

    def _limited(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._gain != 1:
            block = block * self._gain
        if self._clamps and len(block) and max(block.max(), -block.min()) > 1:
            self.num_clamped += int(np.count_nonzero(np.abs(block) > 1))
            block = np.clip(block, -1, 1)
        return block
