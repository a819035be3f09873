"""Stems turned down together, so that none lies beyond full scale and they still add up."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.separation.stem_files.sinks import Blocks, final_names
from sepcore.separation.stem_files.writers import StemFormat, write_files
from sepcore.signal.audio_reader import open_native
from sepcore.signal.audio_writer import named_errors, refuse_folder
from sepcore.system.atomic import temporary_folder

_logger = logging.getLogger(__name__)
# The highest sample of 16 bits: full scale itself is one step beyond.
_HIGHEST = 1 - 2.0**-15


def write_rescaled(files: Mapping[tuple[str, ...], Path], form: StemFormat, blocks: Iterator[Blocks]) -> None:
    """Write a song's files, all stems multiplied by one factor where one of them exceeds full scale.

    The factor is known only at the end: until then the stems are kept as floats in temporary files beside the first
    file (twice the size of 16-bit wav), which are gone afterwards, whatever happens.

    Args:
        files: Each file with the names of what it holds.
        form: What comes and what goes.
        blocks: All stems, see `stem_file`.

    Raises:
        AudioEncodeError: a file cannot be written.
    """
    names = tuple(name for stems in files for name in stems)
    for path in files.values():
        refuse_folder(path)  # before hours of work, not after
    with ExitStack() as stack:
        first = next(iter(files.values()))
        with named_errors(first):
            folder = stack.enter_context(temporary_folder(first))
        spools: dict[tuple[str, ...], Path] = {(name,): folder / f"{number}.wav" for number, name in enumerate(names)}
        floats = replace(form.options, codec="wav", bits=32, clipping="none")
        finals = {spools[name,]: path for stems, path in files.items() for name in stems}
        with final_names(finals):
            write_files(spools, replace(form, options=floats, tags=None), blocks)
        peak = max(_peak(path) for path in spools.values())
        gain = 1.0 if peak <= 1 else _HIGHEST / peak
        if gain < 1:
            _logger.warning(
                "%s: all stems turned down by %.1f dB, since one reaches %.2f times full scale",
                form.song, -20 * np.log10(gain), peak,
            )  # fmt: skip
        # What is spooled has its rate and channels already.
        final = replace(form, model_rate=form.rate, model_channels=form.channels, total=None, gain=gain)
        write_files(files, final, _together({name: path for (name, *_), path in spools.items()}))


def _peak(path: Path) -> float:
    return max((float(np.abs(block).max()) for block in open_native(path).blocks), default=0.0)


def _together(files: Mapping[str, Path]) -> Iterator[Blocks]:
    streams: dict[str, Iterator[NDArray[np.float32]]] = {name: open_native(path).blocks for name, path in files.items()}
    for blocks in zip(*streams.values(), strict=True):
        yield dict(zip(streams, blocks, strict=True))
