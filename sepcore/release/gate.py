"""The gate of a release: every stem beats the untouched mixture, and none is worse than in the model before it."""

from collections.abc import Sequence

from sepcore.errors import GateRefused
from sepcore.evaluation.choices import MARGIN_DB
from sepcore.evaluation.scores import ScoreSummary
from sepcore.release.champion import Champion


def check_gate(
    scores: ScoreSummary, instruments: Sequence[str], champion: Champion | None = None, *, margin_db: float = MARGIN_DB
) -> None:
    """Refuse a model that does not beat the untouched mixture, or is worse than the champion.

    Args:
        scores: Of the model on its test set.
        instruments: All that the model separates.
        champion: The released model to compare with, if there is one. Without scores, it is beaten.
        margin_db: By how much a stem's median SDR may be below the champion's, in dB.

    Raises:
        GateRefused: one line with the stems whose median SDR is not above the untouched mixture's, more than
            ``margin_db`` below the champion's, or unknown, and those that are silent where they should not be; or that
            the two were scored on different test sets.
    """
    unscored = [name for name in instruments if name not in scores.stems]
    # "not above" also holds for NaN: what could not be scored has not shown that it is better.
    worse = [
        *(
            f"{name} ({stem.sdr:.2f} dB, mixture {stem.mixture_sdr:.2f} dB)"
            for name, stem in scores.stems.items()
            if not stem.sdr > stem.mixture_sdr
        ),
        *(
            f"{name} (silent in {stem.num_silent} of {scores.num_tracks} songs)"
            for name, stem in scores.stems.items()
            if stem.num_silent and stem.sdr > stem.mixture_sdr
        ),
        *(f"{name} (never scored)" for name in unscored),
    ]
    if worse or not scores.stems:
        raise GateRefused(
            f"release refused: SDR on {scores.dataset} does not beat the untouched mixture for "
            f"{', '.join(worse) or 'any stem'}",
            hint="Train longer or on more songs, or publish with --force.",
        )
    if champion is not None and champion.scores is not None:
        _check_beside(scores, champion.version, champion.scores, margin_db)


def _check_beside(scores: ScoreSummary, version: str, before: ScoreSummary, margin_db: float) -> None:
    mine, others = (f"{one.dataset} ({one.num_tracks} songs)" for one in (scores, before))
    if scores.made_from is not None and before.made_from is not None:
        same_songs = scores.made_from.songs == before.made_from.songs
        others = f"{others}, which are other songs," if mine == others else others
    else:  # scores of an earlier version have no more than a name
        same_songs = mine == others
    if not same_songs:
        raise GateRefused(
            f"release refused: scored on {mine}, but the champion {version} on {others}, so they cannot be compared",
            hint="Evaluate this run on that test set, or publish with --force.",
        )
    worse = [
        f"{name} ({scores.stems[name].sdr:.2f} dB, {version} has {stem.sdr:.2f} dB)"
        if name in scores.stems
        else f"{name} (there is none any more)"
        for name, stem in before.stems.items()
        if name not in scores.stems or scores.stems[name].sdr < stem.sdr - margin_db
    ]
    if worse:
        raise GateRefused(
            f"release refused: SDR on {scores.dataset} is more than {margin_db:g} dB below that of the champion "
            f"{version} for {', '.join(worse)}",
            hint="Train further, allow more with --margin, or publish with --force.",
        )
