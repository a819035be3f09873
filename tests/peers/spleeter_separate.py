"""Separate one song with the real Spleeter; run by the Python that has it, not by ours.

    python spleeter_separate.py CONFIG MODEL_PATH SONG.wav STEMS.npz [--mwf] [--download]

``MODEL_PATH`` is the folder that holds the config's ``model_dir``; with ``--download`` Spleeter fetches it there
itself, from where ``GITHUB_HOST`` and its companions say, and ``CONFIG`` may be a name such as ``spleeter:2stems``. The
song is a wav of 16 bit or float samples at the config's rate; the stems are written as float32 ``(samples, 2)`` under
their instruments' names.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from scipy.io import wavfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    for name in ("model_path", "song", "stems"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--mwf", action="store_true")
    parser.add_argument("--download", action="store_true")
    args = parser.parse_args()

    # Spleeter downloads a model it does not find, and separates with random weights where there is no checkpoint.
    if not args.download:
        model_dir = args.model_path / json.loads(Path(args.config).read_text())["model_dir"]
        if not (model_dir / "checkpoint").exists():
            parser.error(f"no checkpoint in {model_dir}")

    os.environ["MODEL_PATH"] = str(args.model_path)  # read when Spleeter is imported
    from spleeter.separator import Separator

    separator = Separator(args.config, MWF=args.mwf, multiprocess=False)
    np.savez(args.stems, **separator.separate(read_wav(args.song)))


def read_wav(path):
    _, samples = wavfile.read(path)
    if samples.dtype == np.int16:
        samples = samples / np.float32(32768)
    return samples.reshape(len(samples), -1).astype(np.float32)


if __name__ == "__main__":
    main()
