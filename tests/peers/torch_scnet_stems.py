"""Run by the Python that has PyTorch and MSST: stems' spectra of MSST's SCNet, and the time that it takes.

    python torch_scnet_stems.py KEYS FRAMES BINS SEED FILE

``KEYS`` are those of MSST's YAML in JSON. ``FILE``, an npz, gets the tensors of the state dict, the spectra and the
stems under ``/spectra`` and ``/stems``, ``(2 * channels, bins, frames)``. Then estimates again for every line that
comes in, and prints a JSON line: ``elapsed_s``, and the time of all cores, ``busy_s``.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from torch_scnet import scnet


def stems(network, spectra):
    """What the network does between its STFT and its inverse."""
    skips = []
    x = spectra
    for encode in network.encoder:
        x, *kept = encode(x)
        skips.append(kept)
    x = network.separation_net(x)
    for fuse, decode in network.decoder:
        skip, lengths, original_lengths = skips.pop()
        x = decode(fuse(x, skip), lengths, original_lengths)
    return x


def main():
    keys, file = json.loads(sys.argv[1]), sys.argv[5]
    frames, bins, seed = map(int, sys.argv[2:5])
    torch.manual_seed(seed)
    network = scnet(keys).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:  # a norm's scale of 1 and shift of 0 would show nothing
                parameter.add_(0.1 * torch.randn_like(parameter))
        spectra = torch.randn(1, keys["dims"][0], bins, frames)
        result = stems(network, spectra)
        tensors = {name: value.numpy() for name, value in network.state_dict().items()}
        np.savez(file, **tensors, **{"/spectra": spectra[0].numpy(), "/stems": result[0].numpy()})
        for _ in sys.stdin:
            started = time.perf_counter(), time.process_time()
            stems(network, spectra)
            took = time.perf_counter() - started[0], time.process_time() - started[1]
            sys.stdout.write(json.dumps(dict(zip(("elapsed_s", "busy_s"), took, strict=True))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
