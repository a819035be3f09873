"""Stems in a file that nobody sees: written as they come, read where they are asked for."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.signals import Stems, filled

_SAMPLE_BYTES = 4


class Spool:
    """Stems of one length as float32 in a file; see `Signals` for how they are read, from several threads too.

    Args:
        descriptor: Of an open, empty file.
        num_stems: Stems.
        num_channels: Channels of each.
    """

    def __init__(self, descriptor: int, num_stems: int, num_channels: int) -> None:
        self._descriptor = descriptor
        self.shape: tuple[int, int, int] = (num_stems, 0, num_channels)

    def append(self, stems: Stems) -> None:
        """Add samples ``(stems, samples, channels)`` at the end; OSError where the disk is full."""
        content = np.ascontiguousarray(np.moveaxis(stems, 1, 0), np.float32).reshape(-1).view(np.uint8).data
        at = self.shape[1] * self._row_bytes
        while content:
            written = os.pwrite(self._descriptor, content, at)
            content, at = content[written:], at + written
        self.resize(self.shape[1] + stems.shape[1])

    def resize(self, num_samples: int) -> None:
        """Take the stems for this long: cut, or with zeros at the end."""
        self.shape = (self.shape[0], num_samples, self.shape[2])

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `Signals`."""
        num_samples = max(min(stop, self.shape[1]) - start, 0)
        samples = np.zeros((num_samples, self.shape[0], self.shape[2]), np.float32)
        content, at = samples.reshape(-1).view(np.uint8).data, start * self._row_bytes
        while num_read := os.preadv(self._descriptor, [content], at):  # nothing: zeros, up to the length
            content, at = content[num_read:], at + num_read
        return filled(np.moveaxis(samples, 0, 1), stop - start)

    @property
    def _row_bytes(self) -> int:
        return self.shape[0] * self.shape[2] * _SAMPLE_BYTES


@contextmanager
def spool(folder: Path, num_stems: int, num_channels: int) -> Iterator[Spool]:
    """An empty spool on the disk of ``folder``; whatever ends the process, nothing is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file.fileno(), num_stems, num_channels)
