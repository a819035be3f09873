"""Score seeded colored noise in a process of its own.

    python evaluation_speed.py make SECONDS STEMS CHANNELS RATE FOLDER
    python evaluation_speed.py score ENGINE RUNS RATE FOLDER

``make`` writes ``references.npy`` and ``estimates.npy``, float64 ``(stems, samples, channels)``; not in the process
that scores, whose peak memory then is the scoring's. ``score`` takes them through an engine of `bss_eval`, or through
museval itself (``museval``; not our engine of that name, whose SDR is our own), in windows of a second. It writes SDR,
ISR, SIR and SAR to ``<engine>.npy`` and prints a JSON line: the seconds of each run, the megabytes of both inputs, and
``beyond_mb``, the peak memory of the process beyond what it held when the inputs were loaded.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

# A pole each: from white noise to what falls by 6 dB an octave, as music does, and never band-limited.
_POLES = (0.9, 0.0, 0.97, 0.6)


def make_noise(seconds, num_stems, num_channels, rate, folder):
    """Stems whose channels share some sound, and estimates with a filter's, the other stems' and noise's errors."""
    from scipy.signal import lfilter

    shape = (num_stems, int(seconds * rate), num_channels)
    rng = np.random.default_rng(0)
    references, estimates = np.empty(shape), np.empty(shape)
    for stem in range(num_stems):
        noise = lfilter([1.0], [1.0, -_POLES[stem % len(_POLES)]], rng.standard_normal(shape[1:]), axis=0)
        references[stem] = 0.1 * (noise + 0.5 * noise[:, ::-1])
    for stem in range(num_stems):
        others = sum(references[other] for other in range(num_stems) if other != stem)
        filtered = lfilter([0.95, 0.1, -0.05], [1.0], references[stem], axis=0)
        estimates[stem] = filtered + 0.1 * others + 0.01 * rng.standard_normal(shape[1:])
    np.save(folder / "references.npy", references)
    np.save(folder / "estimates.npy", estimates)


def score_noise(engine, runs, rate, folder):
    """Measures of an engine."""
    import psutil

    if engine == "museval":
        from museval import evaluate

        options = {"win": rate, "hop": rate, "mode": "v4", "padding": False}
    else:
        from sepcore.evaluation import bss_eval as evaluate

        options = {"window": rate, "hop": rate, "engine": engine}
    references, estimates = np.load(folder / "references.npy"), np.load(folder / "estimates.npy")
    inputs_mb = (references.nbytes + estimates.nbytes) / 1e6
    held_mb = psutil.Process().memory_info().rss / 1e6
    elapsed_s = []
    for _ in range(runs):
        started = time.perf_counter()
        scores = evaluate(references, estimates, **options)
        elapsed_s.append(time.perf_counter() - started)
    beyond_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - held_mb
    np.save(folder / f"{engine}.npy", np.stack(scores))
    return {"elapsed_s": elapsed_s, "inputs_mb": inputs_mb, "beyond_mb": beyond_mb}


def main():
    what, *arguments, folder = sys.argv[1:]
    if what == "make":
        seconds, *counts = arguments
        make_noise(float(seconds), *map(int, counts), Path(folder))
    else:
        engine, *counts = arguments
        sys.stdout.write(json.dumps(score_noise(engine, *map(int, counts), Path(folder))) + "\n")


if __name__ == "__main__":
    main()
