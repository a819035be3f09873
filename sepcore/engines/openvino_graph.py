"""Operations of OpenVINO on the tensors of one checkpoint, in the few forms that our networks need."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class GraphBuilder:
    """Makes the nodes of one network; the caller decides how the package ``openvino`` is imported."""

    def __init__(self, openvino: Any, tensors: Mapping[str, Array]) -> None:
        self._ov, self._op, self._tensors = openvino, openvino.opset13, tensors

    def _constant(self, value: Array) -> Any:
        # Shared: copies take as long as reading the checkpoint.
        return self._op.constant(np.ascontiguousarray(value, np.float32), shared_memory=True)

    def _integers(self, *values: int) -> Any:
        return self._op.constant(np.array(values, np.int64))

    def _moved(self, x: Any, *axes: int) -> Any:
        return self._op.transpose(x, self._integers(*axes))

    def _reshaped(self, x: Any, *shape: int) -> Any:
        return self._op.reshape(x, self._integers(*shape), special_zero=False)

    def _rows(self, x: Any, start: int, stop: int, step: int = 1) -> Any:
        """``x[start:stop:step]`` along the first axis."""
        return self._op.slice(x, *map(self._integers, (start, stop, step, 0)))

    def _halves(self, x: Any) -> list[Any]:
        """Both halves of the last axis."""
        return list(self._op.split(x, self._op.constant(np.int64(len(shape(x)) - 1)), 2).outputs())

    def _bidirectional(self, x: Any, weights: Iterable[Array], units: int) -> Any:
        """An LSTM over the second axis of ``(batch, steps, inputs)``, in both directions; ``(batch, 2, steps, units)``.

        ``weights`` are OpenVINO's W, R and B: a direction each, gates in the order f, i, c, o.
        """
        batch, steps, _ = shape(x)
        state = self._constant(np.zeros((batch, 2, units), np.float32))
        lengths, constants = self._integers(*[steps] * batch), map(self._constant, weights)
        return self._op.lstm_sequence(x, state, state, lengths, *constants, units, "bidirectional").output(0)


def shape(x: Any) -> list[int]:
    """Of a node, or of one of its outputs."""
    return list(x.get_output_shape(0) if hasattr(x, "get_output_shape") else x.get_shape())


def reordered_gates(gates: Array) -> Array:
    """Gates along the first axis, from the order of CuDNN and PyTorch (input, forget, cell, output) to f, i, c, o."""
    i, f, c, o = np.split(gates, 4)
    return np.concatenate([f, i, c, o])
