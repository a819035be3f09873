"""The ONNX files of a model: its network alone, the whole way from waveform to stems, and what sherpa-onnx reads."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.export.formats import SHERPA_INSTRUMENTS
from sepcore.export.onnx_conversion import Dimensions, convert_graph
from sepcore.export.onnx_rewrites import rearrange_upsampling
from sepcore.export.waveform_model import separate_waveform
from sepcore.networks.registry import build_network
from sepcore.networks.unet import UNet

_CONFIG_KEYS = ("sample_rate", "n_channels", "frame_length", "frame_step", "T", "F")
_OF_DOMAIN = {
    "magnitude": ("separation_exponent", "mask_extension"),
    "complex": ("stft_window", "stft_normalized", "stft_padding", "mixture_consistency"),
}


def convert_network(name: str, config: ModelConfig, network: Any, path: Path) -> None:
    """Write a model's network, with its weights, to an ONNX file for an engine that has its own STFT and masks.

    Its input ``magnitudes`` is float32 ``(segments, T, F, channels)``, its output ``estimates`` ``(segments, stems, T,
    F, channels)``, for any number of segments, with ``2 * channels`` of a complex network: see `Engine.estimate`.
    Raises as `convert_graph` does.
    """
    parts = 2 if config.model.domain == "complex" else 1
    segment = [config.segment_frames, config.num_bins, parts * config.num_channels]

    def graph(weighted: Any, magnitudes: Any) -> dict[str, Any]:
        return {"estimates": weighted(magnitudes, training=False)}

    convert_graph(
        graph,
        network,
        path,
        inputs={"magnitudes": ["segments", *segment]},
        outputs={"estimates": ["segments", len(config.instruments), *segment]},
        metadata=_metadata(name, config),
        rearrange=rearrange_upsampling,
    )


def convert_waveform(name: str, config: ModelConfig, network: Any, path: Path) -> None:
    """Write a model with STFT and masks to an ONNX file.

    Its input ``waveform`` is float32 ``(samples, channels)`` of any length; each instrument is an output of its name,
    of the same shape. Raises as `convert_graph` does.
    """
    dimensions: Dimensions = ["samples", config.num_channels]

    def graph(weighted: Any, waveform: Any) -> dict[str, Any]:
        return separate_waveform(config, weighted, waveform, matrix_fft=True)

    outputs = dict.fromkeys(config.instruments, dimensions)
    metadata = _metadata(name, config)
    convert_graph(graph, network, path, inputs={"waveform": dimensions}, outputs=outputs, metadata=metadata)


def convert_for_sherpa(name: str, config: ModelConfig, network: Any, folder: Path) -> None:
    """Write ``vocals.onnx`` and ``accompaniment.onnx`` for sherpa-onnx's model family ``spleeter``.

    The input ``x`` of each is float32 ``(channels, segments, T, F)``, magnitudes of the mixture; its output ``y``, of
    the same shape, is the network's estimate of the stem.

    Args:
        name: The model's name.
        config: Its config, which has passed `check_exportable`.
        network: Its network, with weights.
        folder: Where to write.
    """
    metadata = {
        # sherpa-onnx reads the first three; its own files also have the others.
        "model_type": "spleeter",
        "version": "1",
        "stems": str(len(SHERPA_INSTRUMENTS)),
        "model_url": "",
        "comment": f"exported by stemworks {version('stemworks')}",
        **_metadata(name, config),
    }
    dimensions: Dimensions = [config.num_channels, "segments", config.segment_frames, config.num_bins]
    for instrument in SHERPA_INSTRUMENTS:
        stem_network, index = _network_of_stem(config, network, instrument)

        def graph(weighted: Any, x: Any, index: int = index) -> dict[str, Any]:
            estimates = weighted(ops.transpose(x, (1, 2, 3, 0)), training=False)
            return {"y": ops.transpose(estimates[:, index], (3, 0, 1, 2))}

        path = folder / f"{instrument}.onnx"
        convert_graph(graph, stem_network, path, inputs={"x": dimensions}, outputs={"y": dimensions}, metadata=metadata)


def _network_of_stem(config: ModelConfig, network: Any, instrument: str) -> tuple[Any, int]:
    """The smallest network that estimates a stem, and the stem's place among its estimates."""
    index = config.instruments.index(instrument)
    if config.model.type != "unet.unet":  # a softmax over the stems needs them all
        return network, index
    alone = build_network(config.model_copy(update={"instruments": (instrument,)}))
    (unet,) = (layer for layer in alone.layers if isinstance(layer, UNet))
    unets = [layer for layer in network.layers if isinstance(layer, UNet)]
    unet.set_weights(unets[index].get_weights())
    return alone, 0


def _metadata(name: str, config: ModelConfig) -> dict[str, str]:
    """What a program around a model's file must know, by the config's keys, so that it needs no config beside it."""
    values = config.model_dump(by_alias=True)
    return {
        "model_name": name,
        "network": config.model.type,
        "instruments": json.dumps(config.instruments, ensure_ascii=False),
        **{key: str(values[key]) for key in (*_CONFIG_KEYS, *_OF_DOMAIN[config.model.domain])},
        "config": config.to_json(),
    }
