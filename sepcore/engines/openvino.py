"""The engine for CPUs: the network in OpenVINO, STFT and masks in numpy."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Precision
from sepcore.config.model_config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.engines.openvino_network import build_model
from sepcore.errors import EngineUnusable
from sepcore.system.threads import num_cores

# Segments at the same time, each on its share of the cores: so no core waits while another thread runs numpy before and
# after the network. Each takes 120 MB, so there are not more of them with many cores.
_MOST_STREAMS = 4
_MOST_COMPLEX_STREAMS = 2  # of SCNet each takes 300 MB, and gives 60 MB of stems
# OpenVINO 2026.4 makes a table of types on first use, under a lock of its own: of two threads that did so at once, one
# would hold that lock and the other the interpreter's, for ever.
_first_use = Lock()


class OpenVinoEngine(Engine):
    """A network on the cores of this machine.

    It is given as the tensors of a built-in network, from `load_tensors`, or as the file of a registered one, from
    `convert_network_once`. ``"bfloat16"`` is up to twice as fast on processors that have it; others compute in float32
    anyway.

    Raises:
        EngineUnusable: OpenVINO does not load.
        ConfigError: SCNet's bands do not fit.
    """

    def __init__(
        self,
        config: ModelConfig,
        network: Mapping[str, NDArray[np.float32]] | Path,
        *,
        precision: Precision = "float32",
    ) -> None:
        super().__init__(config)
        openvino, core = load_openvino()
        cores = num_cores()
        self._is_complex = config.model.domain == "complex"
        self.parallel_blocks = min(cores, _MOST_COMPLEX_STREAMS if self._is_complex else _MOST_STREAMS)
        # With a fixed shape OpenVINO can plan its memory; single segments are as fast as several.
        if isinstance(network, Path):
            model = core.read_model(network)
            width = config.num_channels * (2 if self._is_complex else 1)
            model.reshape([1, config.segment_frames, config.num_bins, width])
            model = model if self._is_complex else _channels_first(openvino, model)
        else:
            model = build_model(openvino, config, network)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                # By default OpenVINO uses bfloat16 where the processor has it.
                "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
                "NUM_STREAMS": self.parallel_blocks,
                "INFERENCE_NUM_THREADS": cores,
                # Pinned threads of two processes would share one core while others are idle.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._tensor = openvino.Tensor
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.parallel_blocks):
            self._idle.put(compiled.create_infer_request())

    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.estimate`; may be called by several threads at once.

        Of a complex network: spectra with real and imaginary parts of each channel in turn, float32 ``(segments, T, F,
        2 * channels)`` to ``(segments, stems, T, F, 2 * channels)``.
        """
        if self._is_complex:
            return self._spectra(magnitudes)
        estimates = []
        for segment in magnitudes:
            request = self._idle.get()
            try:
                request.infer([np.ascontiguousarray(np.moveaxis(segment, -1, 0))[None]], share_inputs=True)
                # A copy: the next segment overwrites the request's memory.
                estimates.append(request.get_output_tensor(0).data.copy())
            finally:
                self._idle.put(request)
        return np.moveaxis(estimates[0] if len(estimates) == 1 else np.concatenate(estimates), 2, -1)

    def _spectra(self, spectra: NDArray[np.float32]) -> NDArray[np.float32]:
        segments, *sides = spectra.shape
        stems = np.empty((segments, len(self.config.instruments), *sides), np.float32)
        for number, segment in enumerate(spectra):
            request = self._idle.get()
            try:
                # The request writes where it is told: the stems of a segment are as large as tens of seconds of audio.
                request.set_output_tensor(0, self._tensor(stems[number : number + 1], shared_memory=True))
                request.infer([np.ascontiguousarray(segment)[None]], share_inputs=True)
            finally:
                self._idle.put(request)
        return stems


def computes_in_bfloat16() -> bool:
    """Whether OpenVINO has instructions for it here (AVX512_BF16, AMX); other processors would compute in float32."""
    try:
        _, core = load_openvino()
    except EngineUnusable:  # whoever loads a network says so
        return False
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _channels_first(openvino: Any, model: Any) -> Any:
    """A network that takes and gives channels last, as `build_model` builds them."""
    steps = openvino.preprocess.PrePostProcessor(model)
    layouts = (steps.input(), "NCHW", "NHWC"), (steps.output(), "NSCHW", "NSHWC")
    for end, outside, inside in layouts:
        end.tensor().set_layout(openvino.Layout(outside))
        end.model().set_layout(openvino.Layout(inside))
    return steps.build()


def load_openvino() -> tuple[Any, Any]:
    """OpenVINO and its core, with the plugin for this CPU; EngineUnusable if they do not load."""
    try:
        with _first_use:
            openvino = _import_openvino()
            openvino.Type.f32.to_dtype()
            core = openvino.Core()
            core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    except Exception as error:  # of the import system, the dynamic linker, pybind11, or OpenVINO's own
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise  # Ctrl-C in the import of a compiled package is an ImportError
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EngineUnusable(
            f"OpenVINO does not load on this machine ({reason})",
            hint="Install it again (pip install --force-reinstall openvino), or install 'stemworks[train]' and use the "
            "engine tensorflow.",
        ) from error
    return openvino, core


def _import_openvino() -> Any:
    """OpenVINO's runtime without its converter, whose import takes a second and reports the use to a web address."""
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules or converter in sys.modules:
        return import_module("openvino")
    sys.modules[converter] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules[converter]  # others may import it
