"""The columns of an index that only waveforms have, as arrays: where the PCM is, its checksums and levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

PCM_COLUMNS = ("scale", "sample_bytes", "pcm_offset", "block_checksums", "levels_db")
"""The columns with a list for each chunk that has an item for each signal, or a list for each signal."""


@dataclass(frozen=True, eq=False)
class PcmIndex:
    """The columns of these names, see `chunk_schema`, by the chunk's number in the index."""

    scale: NDArray[np.float32]  # ``(chunks, signals)``
    sample_bytes: NDArray[np.uint8]  # ``(chunks, signals)``
    pcm_offset: NDArray[np.int64]  # ``(chunks, signals)``
    residual_db: NDArray[np.float32]  # ``(chunks,)``
    block_checksums: "ListsOfSignals"  # of each chunk: uint32 ``(signals, blocks)``
    levels_db: "ListsOfSignals"  # of each chunk: float32 ``(signals, seconds)``

    @classmethod
    def of(cls, tables: Sequence["pa.Table"], num_signals: int) -> Self:
        """The columns of an index's row groups."""
        residuals = [table.column("residual_db").to_numpy() for table in tables]
        return cls(
            **{name: _by_signal(tables, name, num_signals) for name in ("scale", "sample_bytes", "pcm_offset")},
            residual_db=np.concatenate(residuals) if residuals else np.empty(0, np.float32),
            block_checksums=ListsOfSignals.of(tables, "block_checksums", num_signals),
            levels_db=ListsOfSignals.of(tables, "levels_db", num_signals),
        )


class ListsOfSignals:
    """An array ``(signals, items)`` for each chunk, whose number of items differs from chunk to chunk."""

    def __init__(self, values: NDArray[Any], counts: NDArray[np.int64], num_signals: int) -> None:
        self._values, self._num_signals = values, num_signals  # of the chunks in turn, in one array
        self._ends = np.cumsum(counts)

    @classmethod
    def of(cls, tables: Sequence["pa.Table"], name: str, num_signals: int) -> Self:
        """A column of an index's row groups."""
        signals = [table.column(name).combine_chunks().flatten() for table in tables]
        if not signals:
            return cls(np.empty(0), np.empty(0, np.int64), num_signals)
        counts = [column.value_lengths().to_numpy().reshape(-1, num_signals).sum(axis=1) for column in signals]
        values = [column.flatten().to_numpy() for column in signals]
        return cls(np.concatenate(values), np.concatenate(counts), num_signals)

    def __getitem__(self, chunk: int) -> NDArray[Any]:
        first = self._ends[chunk - 1] if chunk else 0
        return self._values[first : self._ends[chunk]].reshape(self._num_signals, -1)


def _by_signal(tables: Sequence["pa.Table"], name: str, num_signals: int) -> NDArray[Any]:
    columns = [table.column(name).combine_chunks().flatten().to_numpy() for table in tables]
    flat = np.concatenate(columns) if columns else np.empty(0)
    return flat.reshape(-1, num_signals)
