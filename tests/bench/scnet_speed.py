"""Estimate stems of noise with SCNet of random weights on OpenVINO, for every line that comes in.

    python scnet_speed.py DIMS FRAMES PRECISION

Prints a JSON line for each: seconds that a segment took, ``elapsed_s``, as many segments as the engine has streams at
once, and the time of all cores, ``busy_s``.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sepcore.config.load import parse_config
from sepcore.engines.openvino import OpenVinoEngine
from sepcore.networks.scnet_tensors import scnet_shapes


def main():
    dims, frames, precision = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    content = {
        "instrument_list": ["vocals", "drums", "bass", "other"],
        "T": frames,
        "F": 2049,
        "model": {"type": "scnet.scnet", "params": {"dims": dims}},
    }
    config = parse_config(json.dumps(content), "scnet.json")
    rng = np.random.default_rng(0)
    shapes = scnet_shapes(config.model.params, len(config.instruments))
    tensors = {name: 0.1 * rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    engine = OpenVinoEngine(config, tensors, precision=precision)
    spectra = rng.standard_normal((1, frames, config.num_bins, dims[0]), np.float32)
    count = engine.parallel_blocks

    def estimate(_):
        engine.estimate(spectra)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(estimate, range(count)))
        for _ in sys.stdin:
            started = time.perf_counter(), time.process_time()
            list(pool.map(estimate, range(count)))
            took = (time.perf_counter() - started[0]) / count, (time.process_time() - started[1]) / count
            sys.stdout.write(json.dumps(dict(zip(("elapsed_s", "busy_s"), took, strict=True))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
