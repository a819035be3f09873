"""The two files that sherpa-onnx separates with (model family ``spleeter``)."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.export.formats import SHERPA_INSTRUMENTS
from sepcore.export.metadata import model_metadata
from sepcore.export.onnx_conversion import Dimensions, convert_graph
from sepcore.networks.registry import build_network
from sepcore.networks.unet import UNet


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
