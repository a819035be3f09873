"""Separate noise with a loaded model, in a process of its own, under whatever Python runs this.

    python separation_speed.py ours|bfloat16|spleeter|openunmix SECONDS RUNS

Prints a JSON line: ``elapsed_s`` of each separation after a first one; ours also ``network_s``, what its network alone
takes for as many segments, measured after each. ``bfloat16`` is ours with ``--precision auto``. The model is ``2stems``
in MODEL_PATH; Open-Unmix has two targets of random weights.
"""

import json
import sys
import time

import numpy as np

RATE = 44100
_BLOCK_S = 10


def ours(waveform, precision="float32"):
    from sepcore import Separator

    separator = Separator("2stems", precision=precision)
    blocks = np.split(waveform, range(_BLOCK_S * RATE, len(waveform), _BLOCK_S * RATE))

    def separate():
        for _ in separator.stream(blocks):
            pass

    return separate, network_alone(separator.engine, len(waveform))


def network_alone(engine, samples):
    """The network on as many segments as a waveform has, in as many threads as the engine separates blocks in."""
    from concurrent.futures import ThreadPoolExecutor

    from sepcore.signal.spectrogram import num_frames

    config = engine.config
    segments = -(-num_frames(samples, config.frame_length, config.hop_length) // config.segment_frames)
    shape = (1, config.segment_frames, config.num_bins, config.num_channels)
    magnitudes = np.abs(np.random.default_rng(0).standard_normal(shape, np.float32))

    def estimate(_):
        # Nothing is kept: the engine's own blocks take one another's memory, too.
        engine.estimate(magnitudes)

    def run():
        with ThreadPoolExecutor(engine.parallel_blocks) as pool:
            list(pool.map(estimate, range(segments)))

    return run


def bfloat16(waveform):
    return ours(waveform, "auto")


def spleeter(waveform):
    from spleeter.separator import Separator

    separator = Separator("spleeter:2stems", multiprocess=False)
    return lambda: separator.separate(waveform), None


def openunmix(waveform):
    import torch
    from openunmix.model import OpenUnmix, Separator

    targets = {
        name: OpenUnmix(nb_bins=2049, nb_channels=2, hidden_size=512, max_bin=1487).eval()
        for name in ("vocals", "drums")
    }
    separator = Separator(target_models=targets, niter=0, n_fft=4096, n_hop=1024, nb_channels=2, sample_rate=RATE)
    audio = torch.from_numpy(waveform.T[None].copy())

    def separate():
        with torch.no_grad():
            for minute in torch.split(audio, 60 * RATE, dim=2):
                separator(minute)

    return separate, None


def main():
    who, seconds, runs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (int(seconds * RATE), 2)).astype(np.float32)
    rivals = {"ours": ours, "bfloat16": bfloat16, "spleeter": spleeter, "openunmix": openunmix}
    separate, network = rivals[who](waveform)
    separate()
    times = {"elapsed_s": [], "network_s": []}
    for _ in range(runs):
        times["elapsed_s"].append(timed(separate))
        if network:
            times["network_s"].append(timed(network))
    sys.stdout.write(json.dumps(times) + "\n")


def timed(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
