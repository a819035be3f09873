"""Time one separator in a process of its own; run by our Python or by the one that has the real Spleeter.

    python separation_speed.py ours|spleeter MODEL_PATH SECONDS RUNS

Prints a JSON line: seconds of each warm run on the same noise, and the peak memory of the process in MB. The model is
``2stems`` in ``MODEL_PATH``, loaded and run once before.
"""

import json
import os
import resource
import sys
import time

import numpy as np


def main():
    who, model_path, seconds, runs = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    os.environ["MODEL_PATH"] = model_path  # read when Spleeter is imported
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (int(seconds * 44100), 2)).astype(np.float32)
    if who == "ours":
        from sepcore import Separator

        separator = Separator("2stems")
    else:
        from spleeter.separator import Separator

        separator = Separator("spleeter:2stems", multiprocess=False)
    separator.separate(waveform)
    elapsed = []
    for _ in range(runs):
        started = time.perf_counter()
        separator.separate(waveform)
        elapsed.append(time.perf_counter() - started)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    sys.stdout.write(json.dumps({"elapsed_s": elapsed, "memory_mb": memory_mb}) + "\n")


if __name__ == "__main__":
    main()
