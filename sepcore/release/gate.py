"""The gate of a release: every stem must come out better than if nothing had been done."""

from sepcore.errors import GateRefused
from sepcore.evaluation.scores import ScoreSummary


def check_gate(scores: ScoreSummary) -> None:
    """Refuse a model that does not beat the untouched mixture.

    Args:
        scores: Of the model on its test set.

    Raises:
        GateRefused: one line with the stems whose median SDR is not above the untouched mixture's, or is unknown.
    """
    # "not above" also holds for NaN: what could not be scored has not shown that it is better.
    worse = [
        f"{name} ({stem.sdr:.2f} dB, mixture {stem.mixture_sdr:.2f} dB)"
        for name, stem in scores.stems.items()
        if not stem.sdr > stem.mixture_sdr
    ]
    if worse or not scores.stems:
        raise GateRefused(
            f"release refused: SDR on {scores.dataset} does not beat the untouched mixture for "
            f"{', '.join(worse) or 'any stem'}; train longer or on more songs, or publish with --force."
        )
