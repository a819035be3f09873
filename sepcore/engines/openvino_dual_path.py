"""SCNet's separation network in OpenVINO: LSTMs over bins and over frames, between Fourier transforms over frames."""

from typing import Any

import numpy as np

from sepcore.engines.openvino_graph import Array, GraphBuilder, reordered_gates, shape

_EPSILON = 1e-5  # of PyTorch's GroupNorm


class DualPath(GraphBuilder):
    """Tensors are ``(frames, bins, channels)``."""

    def _separated(self, x: Any, num_layers: int) -> Any:
        """The dual-path layers; every other one works on the Fourier transform over frames, twice as wide."""
        transform = _Fourier(shape(x)[0])
        for layer in range(num_layers):
            x = self._dual_path(x, f"separation_net.dp_modules.{layer}")
            x = self._inverse(x, transform) if layer % 2 else self._transformed(x, transform)
        return x

    def _dual_path(self, x: Any, place: str) -> Any:
        frames, bins, _ = shape(x)
        # OpenVINO gives (batch, directions, steps, units).
        for path, to_batch, from_batch in ((0, (0, 1, 2), (0, 2, 1, 3)), (1, (1, 0, 2), (2, 0, 1, 3))):
            sequences = self._moved(self._standardized(x, 0, 1, 2), *to_batch)
            weights = self._lstm_weights(f"{place}.lstm_layers.{path}", f"{place}.norm_layers.{path}")
            units = weights[1].shape[2]
            made = self._moved(self._bidirectional(sequences, weights, units), *from_batch)
            made = self._reshaped(made, frames, bins, 2 * units)
            weight, bias = (self._constant(self._tensors[f"{place}.linear_layers.{path}.{part}"]) for part in _AFFINE)
            projected = self._op.matmul(made, weight, transpose_a=False, transpose_b=True)
            x = self._op.add(x, self._op.add(projected, bias))
        return x

    def _lstm_weights(self, place: str, norm: str) -> tuple[Array, Array, Array]:
        """OpenVINO's W, R and B, with the scale and the shift of the norm before; PyTorch's two biases are added up."""

        def both(part: str) -> Array:
            return np.stack([reordered_gates(self._tensors[f"{place}.{part}_l0{way}"]) for way in ("", "_reverse")])

        scale, shift = (self._tensors[f"{norm}.{part}"] for part in _AFFINE)
        kernel = both("weight_ih")
        return kernel * scale, both("weight_hh"), both("bias_ih") + both("bias_hh") + kernel @ shift

    def _standardized(self, x: Any, *axes: int) -> Any:
        """A group norm of one group, without its scale and shift of each channel."""
        return self._op.mvn(x, self._integers(*axes), True, _EPSILON, "inside_sqrt")

    def _transformed(self, x: Any, transform: "_Fourier") -> Any:
        """Real and imaginary parts, side by side on the channels, of the first ``frames / 2 + 1`` frequencies.

        By symmetry the real ones need only the sums of frames ``n`` and ``-n``, the imaginary ones their differences:
        half of the products.
        """
        frames, bins, width = shape(x)
        half = frames // 2
        rows = self._reshaped(x, frames, bins * width)
        forth, back = self._rows(rows, 1, half), self._rows(rows, frames - 1, half, -1)
        ends = self._rows(rows, 0, 1), self._rows(rows, half, half + 1)
        sums = self._op.concat([ends[0], self._op.add(forth, back), ends[1]], 0)
        products = (transform.cosines, sums), (transform.sines, self._op.subtract(forth, back))
        parts = [self._reshaped(self._times(*pair), half + 1, bins, width) for pair in products]
        return self._op.concat(parts, 2)

    def _inverse(self, x: Any, transform: "_Fourier") -> Any:
        """The frames again; imaginary parts of the first and the last frequency are ignored, as by any ``irfft``."""
        frequencies, bins, width = shape(x)
        half = frequencies - 1
        real, imaginary = (self._reshaped(part, frequencies, bins * (width // 2)) for part in self._halves(x))
        even = self._times(transform.inverse_cosines, real)
        odd = self._times(transform.inverse_sines, self._rows(imaginary, 1, half))
        ends, inner = (self._rows(even, 0, 1), self._rows(even, half, half + 1)), self._rows(even, 1, half)
        back = self._rows(self._op.subtract(inner, odd), half - 2, -half, -1)
        rows = self._op.concat([ends[0], self._op.add(inner, odd), ends[1], back], 0)
        return self._reshaped(rows, 2 * half, bins, width // 2)

    def _times(self, matrix: Array, rows: Any) -> Any:
        return self._op.matmul(self._constant(matrix), rows, transpose_a=False, transpose_b=False)


_AFFINE = ("weight", "bias")


class _Fourier:
    """The orthonormal Fourier transform of an even number of real frames, as matrices on its even and odd parts."""

    def __init__(self, frames: int) -> None:
        half = frames // 2
        steps = np.arange(half + 1)
        # Reduced before the division, for exact angles.
        angles = 2 * np.pi * (np.outer(steps, steps) % frames) / frames
        cosines, sines = np.cos(angles) / np.sqrt(frames), np.sin(angles) / np.sqrt(frames)
        twice = np.where(steps % half, 2, 1)  # frequencies that stand for their negatives, too
        self.cosines, self.inverse_cosines = cosines, cosines * twice
        self.sines, self.inverse_sines = -sines[:, 1:half], -2 * sines[1:half, 1:half]
