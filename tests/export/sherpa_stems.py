"""Separate a waveform with the real sherpa-onnx; run as a process of its own, which knows nothing of this project.

python sherpa_stems.py EXPORT MIXTURE.npy STEMS.npz: float32 ``(channels, samples)`` at 44.1 kHz in and out.
"""

import sys
from pathlib import Path

import numpy as np
import sherpa_onnx

folder, mixture, stems = (Path(argument) for argument in sys.argv[1:])
files = {name: str(folder / f"{name}.onnx") for name in ("vocals", "accompaniment")}
spleeter = sherpa_onnx.OfflineSourceSeparationSpleeterModelConfig(**files)
model = sherpa_onnx.OfflineSourceSeparationModelConfig(spleeter=spleeter, num_threads=2)
separation = sherpa_onnx.OfflineSourceSeparation(sherpa_onnx.OfflineSourceSeparationConfig(model=model))
output = separation.process(sample_rate=44100, samples=np.load(mixture))
np.savez(stems, **{name: np.asarray(stem.data) for name, stem in zip(files, output.stems, strict=True)})
