"""SCNet in numpy, a step at a time as the paper has it: slow and obvious, to compare engines with."""

from itertools import pairwise
from math import ceil, erf

import numpy as np


def scnet(x, tensors, params):
    """Spectra ``(2 * channels, bins, frames)`` to ``(stems * 2 * channels, bins, frames)``, in double precision."""
    tensors = {name: value.astype(float) for name, value in tensors.items()}
    x = x.astype(float)
    mean, deviation = (x.mean(), x.std(ddof=1)) if params.standardize else (0, 1)
    x = (x - mean) / (deviation + 1e-5) if params.standardize else x
    levels = range(len(params.dims) - 1)
    skips = []
    for level in levels:
        bands, place = [], f"encoder.{level}"
        edges = band_edges(x.shape[1], params)
        for band, (start, stop) in enumerate(edges):
            y = strided(x[:, start:stop], layer(tensors, f"{place}.SDlayer.convs.{band}"), params.band_strides[band])
            for module in range(params.conv_depths[band]):
                y = convolution_module(y, tensors, f"{place}.conv_modules.{band}.layers.{module}")
            bands.append(y * 0.5 * (1 + np.vectorize(erf)(y / np.sqrt(2))))
        skips.append((np.concatenate(bands, 1), [b.shape[1] for b in bands], edges))
        x = convolved(skips[-1][0], *layer(tensors, f"{place}.globalconv"))
    for number in range(params.num_dual_path_layers):
        x = dual_path(x, tensors, f"separation_net.dp_modules.{number}")
        if number % 2 == 0:
            transformed = np.fft.rfft(x, axis=2, norm="ortho")
            x = np.concatenate([transformed.real, transformed.imag])
        else:
            real, imaginary = np.split(x, 2)
            x = np.fft.irfft(real + 1j * imaginary, axis=2, norm="ortho")
    for level in levels:
        skip, lengths, edges = skips.pop()
        x = glu(convolved(np.concatenate([x + skip] * 2), *layer(tensors, f"decoder.{level}.0.conv")))
        parts = np.split(x, np.cumsum(lengths)[:-1], axis=1)
        x = np.concatenate(
            [
                transposed(part, layer(tensors, f"decoder.{level}.1.convtrs.{band}"), stride, stop - start)
                for band, (part, stride, (start, stop)) in enumerate(
                    zip(parts, params.band_strides, edges, strict=True)
                )
            ],
            1,
        )
    return x * deviation + mean


def band_edges(bins, params):
    low, middle, _ = params.band_shares
    edges = [0, ceil(bins * low), ceil(bins * (low + middle)), bins]
    return list(pairwise(edges))


def layer(tensors, place):
    return tensors[f"{place}.weight"], tensors[f"{place}.bias"]


def strided(x, weights_and_bias, stride):
    (weights, bias), bins = weights_and_bias, x.shape[1]
    size = weights.shape[2]
    missing = size - 1 if stride == 1 else -bins % stride
    x = np.pad(x, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))
    starts = range(0, x.shape[1] - size + 1, stride)
    rows = [np.einsum("oik,ikt->ot", weights[..., 0], x[:, start : start + size]) for start in starts]
    return np.stack(rows, 1) + bias[:, None, None]


def transposed(x, weights_and_bias, stride, bins):
    (weights, bias), (_, rows, frames) = weights_and_bias, x.shape
    size = weights.shape[2]
    made = np.zeros((weights.shape[1], (rows - 1) * stride + size, frames))
    for row in range(rows):
        made[:, row * stride : row * stride + size] += np.einsum("iok,it->okt", weights[..., 0], x[:, row])
    cut = (made.shape[1] - bins) // 2
    return made[:, cut : cut + bins] + bias[:, None, None]


def convolution_module(x, tensors, place):
    y = normed(x, *layer(tensors, f"{place}.0"), axes=(0, 2))
    y = glu(over_frames(y, *layer(tensors, f"{place}.1")))
    weights, bias = layer(tensors, f"{place}.3")
    y = np.concatenate([over_frames(y[i : i + 1], weights[i : i + 1], bias[i : i + 1]) for i in range(len(y))])
    y = normed(y, *layer(tensors, f"{place}.4"), axes=(0, 2))
    return x + over_frames(y * sigmoid(y), *layer(tensors, f"{place}.6"))


def over_frames(x, weights, bias):
    return convolved(x, weights[:, :, None], bias)


def convolved(x, weights, bias):
    _, _, height, width = weights.shape
    bins, frames = x.shape[1:]
    x = np.pad(x, ((0, 0), (height // 2, height // 2), (width // 2, width // 2)))
    taps = [
        np.einsum("oi,ift->oft", weights[:, :, row, column], x[:, row : row + bins, column : column + frames])
        for row, column in np.ndindex(height, width)
    ]
    return sum(taps) + bias[:, None, None]


def dual_path(x, tensors, place):
    for path, axes in enumerate([(2, 1, 0), (1, 2, 0)]):  # (frames, bins, channels), then (bins, frames, channels)
        sequences = normed(x, *layer(tensors, f"{place}.norm_layers.{path}"), axes=(0, 1, 2)).transpose(axes)
        lstm = f"{place}.lstm_layers.{path}"
        both = [one_way(sequences, tensors, lstm, ""), one_way(sequences[:, ::-1], tensors, lstm, "_reverse")[:, ::-1]]
        weights, bias = layer(tensors, f"{place}.linear_layers.{path}")
        x = x + (np.concatenate(both, 2) @ weights.T + bias).transpose(np.argsort(axes))
    return x


def one_way(sequences, tensors, place, way):
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    kernel, recurrent, bias, other_bias = (tensors[f"{place}.{part}_l0{way}"] for part in parts)
    state = cell = np.zeros((len(sequences), recurrent.shape[1]))
    outputs = []
    for step in sequences.transpose(1, 0, 2):
        i, f, g, o = np.split(step @ kernel.T + bias + state @ recurrent.T + other_bias, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
        outputs.append(state)
    return np.stack(outputs, 1)


def normed(x, scale, shift, axes):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None]


def glu(x):
    values, gates = np.split(x, 2)
    return values * sigmoid(gates)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))
