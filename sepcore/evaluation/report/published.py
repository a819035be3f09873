"""What others have published on MUSDB18's test set, to set a model beside."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedModel:
    """A published result: SDR of BSSEval v4 (museval) in dB on the 50 test tracks of MUSDB18.

    Attributes:
        name: Of the model.
        training: What it was trained on.
        sdr: By stem, the median over the tracks of the medians over their frames.
        source: Where the numbers stand.
    """

    name: str
    training: str
    sdr: Mapping[str, float]
    source: str


def _by_stem(vocals: float, drums: float, bass: float, other: float) -> dict[str, float]:
    return {"vocals": vocals, "drums": drums, "bass": bass, "other": other}


_SPLEETER = (
    "R. Hennequin, A. Khlif, F. Voituret and M. Moussallam, “Spleeter: a fast and efficient music source separation "
    "tool with pre-trained models”, Journal of Open Source Software 5(50), 2154, 2020"
)

PUBLISHED = (
    PublishedModel("Spleeter 4stems, masks", "Deezer's own songs", _by_stem(6.55, 5.93, 5.10, 4.24), _SPLEETER),
    PublishedModel("Spleeter 4stems, MWF", "Deezer's own songs", _by_stem(6.86, 6.71, 5.51, 4.55), _SPLEETER),
    PublishedModel(
        "Spleeter's network, re-run",
        "MUSDB18",
        _by_stem(4.67, 4.50, 3.89, 3.18),
        "an independent training of Spleeter's network, reported in issue 670 of the project deezer/spleeter",
    ),
    PublishedModel(
        "Open-Unmix (UMX)",
        "MUSDB18",
        _by_stem(6.32, 5.73, 5.23, 4.02),
        "F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji, “Open-Unmix – A Reference Implementation for Music "
        "Source Separation”, Journal of Open Source Software 4(41), 1667, 2019",
    ),
    PublishedModel(
        "Demucs v1",
        "MUSDB18",
        _by_stem(7.05, 7.08, 6.70, 4.47),
        "A. Défossez, N. Usunier, L. Bottou and F. Bach, “Music Source Separation in the Waveform Domain”, "
        "arXiv 1911.13254, 2019; the numbers as Spleeter's paper reports them",
    ),
)
