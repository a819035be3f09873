"""The engine of CPUs: the network alone in OpenVINO, STFT and masks around it in numpy."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Precision
from sepcore.config.model_config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.engines.openvino_network import build_model
from sepcore.system.cores import num_cores

# Segments at once, each on its share of the cores: what a thread does in numpy before and after the network then costs
# no other core's time (two cores, 2stems, three minutes: 128 times real time, 109 with one segment on both cores).
# Each takes 120 MB, so that many cores share these.
_MOST_STREAMS = 4


class OpenVinoEngine(Engine):
    """A network on the cores of this machine.

    Args:
        config: The model's config.
        network: What OpenVINO reads: the tensors of one of Spleeter's networks, see `load_tensors`, or the ONNX file
            that `sepcore.engines.converted` has made of another.
        precision: ``"bfloat16"``: on processors that have it, twice as fast; others compute in float32 all the same.
    """

    def __init__(
        self,
        config: ModelConfig,
        network: Mapping[str, NDArray[np.float32]] | Path,
        *,
        precision: Precision = "float32",
    ) -> None:
        super().__init__(config)
        openvino = _import_openvino()
        cores = num_cores()
        self.parallel_blocks = min(cores, _MOST_STREAMS)
        # OpenVINO 2026.4 makes a table of types on the first use, under a lock of its own: two threads that come first
        # at once wait for each other for ever.
        openvino.Type.f32.to_dtype()
        core = openvino.Core()
        # A fixed shape lets OpenVINO plan its memory: segments one by one are as fast as several.
        if isinstance(network, Path):
            model = core.read_model(network)
            model.reshape([1, config.segment_frames, config.num_bins, config.num_channels])
        else:
            model = build_model(openvino, config, network)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                # Not left to OpenVINO, which takes bfloat16 where the processor has it.
                "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
                "NUM_STREAMS": self.parallel_blocks,
                "INFERENCE_NUM_THREADS": cores,
                # Pinned threads of two processes would share one core and leave others idle.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.parallel_blocks):
            self._idle.put(compiled.create_infer_request())

    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.estimate`; may be called by several threads at once."""
        return np.concatenate([self._estimate_one(magnitudes[[segment]]) for segment in range(len(magnitudes))])

    def _estimate_one(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        request = self._idle.get()
        try:
            request.infer([magnitudes], share_inputs=True)
            # A copy: the request's own memory is the next segment's.
            estimates: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
            return estimates
        finally:
            self._idle.put(request)


def _import_openvino() -> Any:
    """OpenVINO's runtime without its converter, whose import tells a web address of the use and takes a second."""
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules or converter in sys.modules:
        return import_module("openvino")
    sys.modules[converter] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules[converter]  # who wants it can have it
