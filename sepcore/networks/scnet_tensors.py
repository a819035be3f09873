"""The tensors of SCNet in a checkpoint: PyTorch's names and shapes, and the parameters that shapes tell."""

from collections.abc import Iterator, Mapping
from itertools import takewhile

from sepcore.config.network import SCNetParams

Shape = tuple[int, ...]

_GLOBAL_KERNEL = _FUSION_KERNEL = 3
_GATES = 4
_MOST_COUNTED = 65  # one more than SCNetParams allows
_STRIDES = SCNetParams().band_strides


def scnet_shapes(params: SCNetParams, num_stems: int) -> dict[str, Shape]:
    """The shape of every tensor of an SCNet, by its name in PyTorch's state dict and in its order.

    Convolutions are ``(out, in, kernel, 1)``, transposed ones ``(in, out, kernel, 1)``, an LSTM's gates are stacked in
    the order input, forget, cell, output. Reference: W. Tong et al., "SCNet: Sparse Compression Network for Music
    Source Separation", ICASSP 2024, and its author's code.
    """
    return dict([*_encoder(params), *_decoder(params, num_stems), *_separation(params)])


def _encoder(params: SCNetParams) -> Iterator[tuple[str, Shape]]:
    for level, (width, count) in enumerate(zip(params.dims, params.dims[1:], strict=False)):
        place = f"encoder.{level}"
        for band, kernel in enumerate(params.band_kernels):
            yield from _weights(f"{place}.SDlayer.convs.{band}", (count, width, kernel, 1))
        hidden = count // params.compress
        for band, depth in enumerate(params.conv_depths):
            for layer in range(depth):
                steps = f"{place}.conv_modules.{band}.layers.{layer}"
                yield from _weights(f"{steps}.0", (count,))
                yield from _weights(f"{steps}.1", (2 * hidden, count, params.conv_kernel))
                yield from _weights(f"{steps}.3", (hidden, 1, params.conv_kernel))
                yield from _weights(f"{steps}.4", (hidden,))
                yield from _weights(f"{steps}.6", (count, hidden, 1))
        yield from _weights(f"{place}.globalconv", (count, count, _GLOBAL_KERNEL, _GLOBAL_KERNEL))


def _decoder(params: SCNetParams, num_stems: int) -> Iterator[tuple[str, Shape]]:
    widths = params.dims[:0:-1]
    counts = (*params.dims[-2:0:-1], params.dims[0] * num_stems)
    for level, (width, count) in enumerate(zip(widths, counts, strict=True)):
        yield from _weights(f"decoder.{level}.0.conv", (2 * width, 2 * width, _FUSION_KERNEL, _FUSION_KERNEL))
        for band, kernel in enumerate(params.band_kernels):
            yield from _weights(f"decoder.{level}.1.convtrs.{band}", (width, count, kernel, 1), num_biases=count)


def _separation(params: SCNetParams) -> Iterator[tuple[str, Shape]]:
    for layer in range(params.num_dual_path_layers):
        place = f"separation_net.dp_modules.{layer}"
        width = params.dims[-1] * (1 + layer % 2)
        units = width * params.expand
        for path in range(2):
            for way in ("", "_reverse"):
                yield f"{place}.lstm_layers.{path}.weight_ih_l0{way}", (_GATES * units, width)
                yield f"{place}.lstm_layers.{path}.weight_hh_l0{way}", (_GATES * units, units)
                yield f"{place}.lstm_layers.{path}.bias_ih_l0{way}", (_GATES * units,)
                yield f"{place}.lstm_layers.{path}.bias_hh_l0{way}", (_GATES * units,)
        for path in range(2):
            yield from _weights(f"{place}.linear_layers.{path}", (width, 2 * units))
        for path in range(2):
            yield from _weights(f"{place}.norm_layers.{path}", (width,))


def _weights(place: str, shape: Shape, *, num_biases: int | None = None) -> Iterator[tuple[str, Shape]]:
    yield f"{place}.weight", shape
    yield f"{place}.bias", (num_biases or shape[0],)


def fitting_params(shapes: Mapping[str, Shape]) -> tuple[SCNetParams, int] | None:
    """The parameters, and the number of stems, of the SCNet whose tensors have these shapes; None for another network.

    What shapes do not tell, shares and strides of the bands, is as its author has it; a stride that is above its kernel
    is taken to be equal to it. Single tensors may still differ from `scnet_shapes` of the result.
    """
    try:
        return _fitting(shapes)
    except (KeyError, ValueError, IndexError, ZeroDivisionError, StopIteration):  # pydantic's is a ValueError
        return None


def _fitting(shapes: Mapping[str, Shape]) -> tuple[SCNetParams, int] | None:
    levels = _count(shapes, "encoder.{}.SDlayer.convs.0.weight")
    convolutions = [shapes[f"encoder.{level}.SDlayer.convs.0.weight"] for level in range(levels)]
    dims = (convolutions[0][1], *(shape[0] for shape in convolutions))
    kernels = tuple(shapes[f"encoder.0.SDlayer.convs.{band}.weight"][2] for band in range(3))
    depths = tuple(_count(shapes, f"encoder.0.conv_modules.{band}.layers.{{}}.0.weight") for band in range(3))
    modules = [shapes[f"encoder.{level}.conv_modules.0.layers.0.1.weight"] for level in range(levels)]
    widths = [(width, hidden // 2) for hidden, width, _ in modules]
    compress = next(by for by in range(1, _MOST_COUNTED) if all(width // by == hidden for width, hidden in widths))
    gates, width = shapes["separation_net.dp_modules.0.lstm_layers.0.weight_ih_l0"]
    _, outputs, _, _ = shapes[f"decoder.{levels - 1}.1.convtrs.0.weight"]
    params = SCNetParams(
        dims=dims,
        band_strides=_triple(min(pair) for pair in zip(_STRIDES, kernels, strict=True)),
        band_kernels=_triple(iter(kernels)),
        conv_depths=_triple(iter(depths)),
        compress=compress,
        conv_kernel=modules[0][2],
        num_dual_path_layers=_count(shapes, "separation_net.dp_modules.{}.norm_layers.0.weight"),
        expand=gates // (_GATES * width),
    )
    return params, outputs // dims[0]


def _triple(values: Iterator[int]) -> tuple[int, int, int]:
    low, middle, high = values
    return low, middle, high


def _count(shapes: Mapping[str, Shape], name: str) -> int:
    """How many tensors are called so, with the numbers from 0."""
    return sum(1 for _ in takewhile(lambda number: name.format(number) in shapes, range(_MOST_COUNTED)))
