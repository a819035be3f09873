"""Score a track from its files, in a process of its own.

    python evaluation_memory.py make SECONDS STEMS RATE FOLDER
    python evaluation_memory.py score STEMS FOLDER

``make`` writes a track of seeded noise, ``mixture.wav`` and a file for each stem, and estimates of them in museval's
layout. ``score`` scores these as ``flows.evaluate --estimates`` does, and prints the seconds as a JSON line.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

_BLOCK_S = 10


def stem_names(num_stems):
    """Names of so many stems."""
    return [f"stem{number}" for number in range(num_stems)]


def make_track(seconds, num_stems, rate, folder):
    """Files of 16 bits, written a block at a time."""
    import soundfile

    rng = np.random.default_rng(0)
    names = stem_names(num_stems)
    paths = [folder / f"{name}.wav" for name in ("mixture", *names)]
    paths += [folder / "estimates" / "test" / "track" / f"{name}.wav" for name in names]
    paths[-1].parent.mkdir(parents=True)
    files = [soundfile.SoundFile(path, "w", rate, 2) for path in paths]
    for _ in range(seconds // _BLOCK_S):
        stems = 0.1 * rng.standard_normal((num_stems, _BLOCK_S * rate, 2))
        estimates = stems + 0.02 * rng.standard_normal(stems.shape)
        for file, samples in zip(files, [stems.sum(axis=0), *stems, *estimates], strict=True):
            file.write(samples)
    for file in files:
        file.close()


def score_track(num_stems, folder):
    """Seconds that the scoring takes, imports and all."""
    started = time.perf_counter()
    from sepcore.dataset.manifest import TrackRow
    from sepcore.evaluation.estimates import FolderEstimates
    from sepcore.evaluation.scoring_config import scoring_config
    from sepcore.evaluation.track_evaluation import evaluate_track

    names = stem_names(num_stems)
    stems = tuple((name, folder / f"{name}.wav") for name in names)
    config = scoring_config(names, folder / "mixture.wav")
    row = TrackRow("track", folder / "mixture.wav", stems, duration_s=1.0)
    evaluate_track(row, FolderEstimates(folder / "estimates", config), folder / "scores")
    return {"elapsed_s": time.perf_counter() - started}


def main():
    what, *numbers, folder = sys.argv[1:]
    if what == "make":
        make_track(*map(int, numbers), Path(folder))
    else:
        sys.stdout.write(json.dumps(score_track(*map(int, numbers), Path(folder))) + "\n")


if __name__ == "__main__":
    main()
