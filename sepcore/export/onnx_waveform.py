"""A whole model in one ONNX file: waveform to stems."""

from pathlib import Path
from typing import Any

from sepcore.config.model_config import ModelConfig
from sepcore.export.metadata import model_metadata
from sepcore.export.onnx_conversion import Dimensions, convert_graph
from sepcore.export.waveform import separate_waveform


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
