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


def convert_network(name: str, config: ModelConfig, network: Any, path: Path) -> None:
    """Write a network to an ONNX file, in float32, for an engine that has STFT and masks itself.

    Args:
        name: By which the model is known.
        config: Its config.
        network: Its network, with weights.
        path: The ``.onnx`` file. Its input ``magnitudes`` is float32 ``(segments, T, F, channels)``, its output
            ``estimates`` ``(segments, stems, T, F, channels)``, for any number of segments: see `Engine.estimate`.

    Raises:
        ExportError: if ONNX has no operator for a part of the network.
    """
    segment = [config.segment_frames, config.num_bins, config.num_channels]

    def graph(weighted: Any, magnitudes: Any) -> dict[str, Any]:
        return {"estimates": weighted(magnitudes, training=False)}

    convert_graph(
        graph,
        network,
        path,
        inputs={"magnitudes": ["segments", *segment]},
        outputs={"estimates": ["segments", len(config.instruments), *segment]},
        metadata=model_metadata(name, config),
        rearrange=rearrange_upsampling,
    )


def convert_waveform(name: str, config: ModelConfig, network: Any, path: Path) -> None:
    """Write the graph from waveform to stems, with STFT and masks, to an ONNX file, in float32.

    Args:
        name: By which the model is known.
        config: Its config.
        network: Its network, with weights.
        path: The ``.onnx`` file. Its input ``waveform`` is float32 ``(samples, channels)`` of any length; each
            instrument is an output of its name, of the same shape.

    Raises:
        ExportError: if ONNX has no operator for a part of the network.
    """
    dimensions: Dimensions = ["samples", config.num_channels]

    def graph(weighted: Any, waveform: Any) -> dict[str, Any]:
        return separate_waveform(config, weighted, waveform, matrix_fft=True)

    convert_graph(
        graph,
        network,
        path,
        inputs={"waveform": dimensions},
        outputs=dict.fromkeys(config.instruments, dimensions),
        metadata=model_metadata(name, config),
    )


def convert_for_sherpa(name: str, config: ModelConfig, network: Any, folder: Path) -> None:
    """Write ``vocals.onnx`` and ``accompaniment.onnx``, in float32.

    Args:
        name: By which the model is known.
        config: Its config, of which `check_exportable` has nothing to say.
        network: Its network, with weights.
        folder: Where to write. The files' input ``x`` is float32 ``(channels, segments, T, F)``, magnitudes of the
            mixture; their output ``y``, of the same shape, is the network's estimate of the stem.
    """
    metadata = {
        # sherpa-onnx reads the first three; the others are those of its own files.
        "model_type": "spleeter",
        "version": "1",
        "stems": str(len(SHERPA_INSTRUMENTS)),
        "model_url": "",
        "comment": f"exported by stemworks {version('stemworks')}",
        **model_metadata(name, config),
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
    (unet,) = _unets(alone)
    unet.set_weights(_unets(network)[index].get_weights())
    return alone, 0


def _unets(network: Any) -> list[UNet]:
    return [layer for layer in network.layers if isinstance(layer, UNet)]


def model_metadata(name: str, config: ModelConfig) -> dict[str, str]:
    """The properties of a model's ONNX file: its name and what a program around it must know, by the config's keys.

    Args:
        name: By which the model is known.
        config: Its config.

    Returns:
        Texts; ``instruments`` is a JSON list, and ``config`` the whole config as JSON.
    """
    values = config.model_dump(by_alias=True)
    keys = (
        "sample_rate",
        "n_channels",
        "frame_length",
        "frame_step",
        "T",
        "F",
        "separation_exponent",
        "mask_extension",
    )
    return {
        "model_name": name,
        "network": config.model.type,
        "instruments": json.dumps(config.instruments, ensure_ascii=False),
        **{key: str(values[key]) for key in keys},
        "config": config.to_json(),
    }
