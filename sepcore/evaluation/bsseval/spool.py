"""Stems in files that nobody sees: written as they come, read where they are asked for."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.signals import Stems

_SAMPLE_BYTES = 4


class Spool:
    """Stems of one length as float32, each in a file of its own; for how they are read see `Signals`.

    Args:
        descriptors: Of an open, empty file for each stem.
        num_channels: Channels of each.
    """

    def __init__(self, descriptors: Sequence[int], num_channels: int) -> None:
        self._descriptors = descriptors
        self.shape: tuple[int, int, int] = (len(descriptors), 0, num_channels)

    def append(self, stems: Stems) -> None:
        """Add samples ``(stems, samples, channels)`` at the end; OSError where the disk is full."""
        for descriptor, stem in zip(self._descriptors, stems, strict=True):
            content = np.ascontiguousarray(stem, np.float32).reshape(-1).view(np.uint8).data
            at = self.shape[1] * self._row_bytes
            while content:
                written = os.pwrite(descriptor, content, at)
                content, at = content[written:], at + written
        self.resize(self.shape[1] + stems.shape[1])

    def resize(self, num_samples: int) -> None:
        """Take the stems for this long: cut, or with zeros at the end."""
        self.shape = (self.shape[0], num_samples, self.shape[2])

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `Signals`."""
        stems = np.zeros((self.shape[0], stop - start, self.shape[2]), np.float32)
        num_samples = max(min(stop, self.shape[1]) - start, 0)
        for descriptor, stem in zip(self._descriptors, stems, strict=True):
            content, at = stem[:num_samples].reshape(-1).view(np.uint8).data, start * self._row_bytes
            while num_read := os.preadv(descriptor, [content], at):  # nothing after the file's end: zeros
                content, at = content[num_read:], at + num_read
        return stems

    @property
    def _row_bytes(self) -> int:
        return self.shape[2] * _SAMPLE_BYTES


@contextmanager
def spool(folder: Path, num_stems: int, num_channels: int) -> Iterator[Spool]:
    """An empty spool on the disk of ``folder``; whatever ends the process, nothing is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Unbuffered: read and written by their descriptors.
        files = [stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0)) for _ in range(num_stems)]
        yield Spool([file.fileno() for file in files], num_channels)
