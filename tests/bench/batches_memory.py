"""Load the training batches of a config in a process of its own.

    python batches_memory.py BATCHES CONFIG

The training songs are cached in its ``training_cache``. Prints a JSON line: songs, and the peak memory in MB.
"""

import itertools
import json
import resource
import sys
from pathlib import Path

from sepcore import load_config
from sepcore.dataset.batches import training_batches
from sepcore.dataset.cache.index import read_index


def main():
    config = load_config(sys.argv[2])
    index = read_index(Path(config.training_cache), config)
    for _ in itertools.islice(training_batches(index, config), int(sys.argv[1])):
        pass
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"songs": len(index.shards), "peak_mb": peak_mb}) + "\n")


if __name__ == "__main__":
    main()
