"""A model's trained network alone in ONNX: magnitudes to estimates of all stems."""

from pathlib import Path
from typing import Any

from sepcore.config.model_config import ModelConfig
from sepcore.export.metadata import model_metadata
from sepcore.export.onnx_conversion import convert_graph
from sepcore.export.onnx_upsampling import rearrange_upsampling


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
