"""Cache the training songs of a config in a process of its own; run by our Python or by the one that has Spleeter.

    python cache_speed.py ours|spleeter CONFIG CACHE

The CSV's paths are relative to its folder. Prints a JSON line: chunks, and the seconds from the first song to the
last chunk on the disk, imports and what comes before not counted: ours is measured as a flow works once its songs are
checked, songs in parallel, index included; Spleeter's from the first chunk asked for, with nothing behind its cache.
Of ours also the seconds of audio cached, and how many segments of all signals one thread reads a second (the files are
in the system's cache then).
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

READS = 100


def cache_ours(config_path: Path, cache: Path) -> dict[str, float]:
    """Number of chunks and seconds, and what reading takes."""
    from concurrent.futures import ThreadPoolExecutor

    from sepcore import load_config
    from sepcore.dataset.cache.build_index import build_index
    from sepcore.dataset.cache.index import read_index
    from sepcore.dataset.cache.plan import plan_shard
    from sepcore.dataset.cache.shards import write_shard
    from sepcore.dataset.check.measure import measure_song
    from sepcore.dataset.manifest import load_manifest

    config = load_config(str(config_path))
    rows = load_manifest(Path(config.train_csv), config)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        measures = list(threads.map(lambda row: measure_song(row, mix_name=config.mix_name), rows))
        started = time.perf_counter()
        plans = [
            plan_shard(row, measured, config, num_chunks=config.chunks_per_song)
            for row, measured in zip(rows, measures, strict=True)
        ]
        shards = list(threads.map(lambda plan: write_shard(plan, config, cache), plans))
        build_index(cache, [(plan.song, shard) for plan, shard in zip(plans, shards, strict=True)], config)
        elapsed_s = time.perf_counter() - started
    index = read_index(cache, config)
    samples = index.length if index.pcm else (index.length - 1) * config.hop_length + config.frame_length
    audio_s = float(samples.sum() / config.sample_rate)
    return {"chunks": len(index), "elapsed_s": elapsed_s, "audio_s": audio_s, "reads_s": reads_s(index, config)}


def reads_s(index, config) -> float:
    """Segments of all signals that one thread reads in a second, from chunks in turn."""
    from sepcore.dataset.cache.chunk_reader import ChunkReader

    reader, length = ChunkReader(index, config), config.segment_samples if index.pcm else config.segment_frames
    rng, chunks = np.random.default_rng(0), [number % len(index) for number in range(READS)]
    places = [(chunk, rng.integers(index.length[chunk] - length + 1)) for chunk in chunks]
    started = time.perf_counter()
    for chunk, first in places:
        reader.read(chunk, int(first), length, slice(None))
    return READS / (time.perf_counter() - started)


def cache_spleeters(config_path: Path, cache: Path) -> dict[str, float]:
    """Number of chunks and seconds."""
    from spleeter.audio.adapter import AudioAdapter
    from spleeter.dataset import DatasetBuilder

    class CacheOnly(DatasetBuilder):
        """Keeps what stands directly behind the cache; what follows there, crops and batches, is never asked for."""

        def cache(self, dataset, cache, wait):
            """The cached dataset."""
            self.cached = super().cache(dataset, cache, wait)
            return self.cached

    config = json.loads(config_path.read_text())
    csv = Path(config["train_csv"])
    builder = CacheOnly(config, AudioAdapter.default(), str(csv.parent), chunk_duration=config["chunk_duration"])
    builder.build(str(csv), cache_directory=str(cache / "training"), n_chunks_per_song=config["n_chunks_per_song"])
    started = time.perf_counter()
    num_chunks = sum(1 for _ in builder.cached)
    return {"chunks": num_chunks, "elapsed_s": time.perf_counter() - started}


def main():
    who, config, cache = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    took = {"ours": cache_ours, "spleeter": cache_spleeters}[who](config, cache)
    sys.stdout.write(json.dumps(took) + "\n")


if __name__ == "__main__":
    main()
