"""Train from a cache and tell how long the steps waited for their batches, in a process of its own.

    python training_wait.py CONFIG RUN_FOLDER

The training songs are cached in the config's ``training_cache``. Prints a JSON line: ``data_wait_share``, the share of
the time, and ``step_s``, seconds a step; medians over the trainer's own records, the first of which, with the building
of the graph in it, is left out.
"""

import json
import statistics
import sys
from pathlib import Path

from sepcore import load_config
from sepcore.dataset.batches import training_batches
from sepcore.dataset.cache.index import read_index
from sepcore.training.metrics_log import read_records
from sepcore.training.run_folder import RunFolder
from sepcore.training.trainer import TrainingWork, fit


def main():
    config, run = load_config(sys.argv[1]), RunFolder(Path(sys.argv[2]))
    index = read_index(Path(config.training_cache), config)
    work = TrainingWork(
        training_batches=lambda step: training_batches(index, config, first_step=step),
        validation_batches=lambda: [],
    )
    fit(config, run, work)
    speeds = [record.metrics for record in read_records(run.metrics) if record.kind == "system"][1:]
    measures = {
        "data_wait_share": statistics.median(speed["data_wait_share"] for speed in speeds),
        "step_s": config.batch_size / statistics.median(speed["examples_per_s"] for speed in speeds),
    }
    sys.stdout.write(json.dumps(measures) + "\n")


if __name__ == "__main__":
    main()
