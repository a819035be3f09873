"""Time the input pipeline alone and a training step alone, in a process of its own.

    python batches_speed.py BATCHES STEPS CONFIG [CONFIG …]

The training songs of each config are cached in its ``training_cache``; the training is that of the last one. Prints a
JSON line: batches a second of each, steps a second.
"""

import itertools
import json
import statistics
import sys
import time
from pathlib import Path

from sepcore import load_config
from sepcore.dataset.batches import training_batches
from sepcore.dataset.cache.index import read_index
from sepcore.training.optimizers import build_trainable_network

# The first ones fill the pipeline and warm the threads up.
_WARM_UP = 2


def time_batches(config, num_batches):
    """Batches a second, and one of them."""
    index = read_index(Path(config.training_cache), config)
    batches = training_batches(index, config)
    # So many that those that were prefetched are taken out before the clock runs.
    *_, batch = itertools.islice(batches, 4 * _WARM_UP)
    started = time.perf_counter()
    for _ in itertools.islice(batches, num_batches):
        pass
    return num_batches / (time.perf_counter() - started), batch


def time_steps(config, batch, num_steps):
    """Steps a second."""
    network = build_trainable_network(config)
    elapsed = []
    for _ in range(_WARM_UP + num_steps):
        started = time.perf_counter()
        network.train_on_batch(*batch)
        elapsed.append(time.perf_counter() - started)
    return 1 / statistics.median(elapsed[_WARM_UP:])


def main():
    num_batches, num_steps = int(sys.argv[1]), int(sys.argv[2])
    batches_s = []
    for config in map(load_config, sys.argv[3:]):
        rate, batch = time_batches(config, num_batches)
        batches_s.append(rate)
    steps_s = time_steps(config, batch, num_steps)
    sys.stdout.write(json.dumps({"batches_s": batches_s, "steps_s": steps_s}) + "\n")


if __name__ == "__main__":
    main()
