"""Run the PyTorch code of SCNet that PyPI's ``msst`` has; run by the Python that has it, not by ours.

    python scnet_oracle.py CASES.json FOLDER

``CASES.json`` is a list of objects: ``name``; ``params``, arguments of ``msst``'s ``SCNet`` without the STFT's;
``stems`` and ``channels``, their numbers; ``frames`` and ``bins`` of the spectra; ``seed``. ``FOLDER/<name>.npz`` gets
the network's state dict under its names, by chance, as PyTorch's layers start; ``spectra`` float32 ``(1, T, F, 2 ·
channels)``, the real and the imaginary part of each channel in turn; and ``stems`` ``(1, stems, T, F, 2 · channels)``,
which the network makes of them.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

# The network alone: the package that it stands in imports much that no network needs.
(_PACKAGE,) = find_spec("msst").submodule_search_locations
sys.path.insert(0, str(Path(_PACKAGE, "models")))
from scnet import SCNet  # noqa: E402 -- found by the path set above


class SpectraNetwork(SCNet):
    """Without its STFT: `torch.stft` and `torch.istft` are replaced while it runs."""

    def on_spectra(self, spectra):
        """``(batch, T, F, 2 · channels)`` to ``(batch, stems, T, F, 2 · channels)``."""
        batch, frames, bins, parts = spectra.shape
        channels_first = spectra.permute(0, 3, 2, 1).reshape(batch * parts // 2, 2, bins, frames)
        mixture = torch.view_as_complex(channels_first.permute(0, 2, 3, 1).contiguous())
        kept = []

        def stft(waveform, **_):
            return mixture

        def istft(stems, **_):
            kept.append(torch.view_as_real(stems))
            return torch.zeros(len(stems), 4 * self.hop_length)

        own = torch.stft, torch.istft
        torch.stft, torch.istft = stft, istft
        try:
            self(torch.zeros(batch, self.audio_channels, 4 * self.hop_length))
        finally:
            torch.stft, torch.istft = own
        stems = kept[0].reshape(batch, len(self.sources), parts // 2, bins, frames, 2)
        return stems.permute(0, 1, 4, 3, 2, 5).reshape(batch, len(self.sources), frames, bins, parts)


def run(case):
    """Everything of a case, by its name in the npz."""
    torch.manual_seed(case["seed"])
    sources = [str(number) for number in range(case["stems"])]
    network = SpectraNetwork(sources, case["channels"], **case["params"]).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.GroupNorm):  # 1 and 0 in fresh ones, which would hide a mix-up
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    shape = (1, case["frames"], case["bins"], 2 * case["channels"])
    spectra = np.random.default_rng(case["seed"]).standard_normal(shape).astype(np.float32)
    with torch.no_grad():
        stems = network.on_spectra(torch.from_numpy(spectra)).numpy()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    return {**weights, "spectra": spectra, "stems": stems}


if __name__ == "__main__":
    torch.set_num_threads(1)  # its threads would wait for each other in busy loops beside other tests
    for case in json.loads(Path(sys.argv[1]).read_text()):
        np.savez(Path(sys.argv[2], f"{case['name']}.npz"), **run(case))
