"""Judge a run for release: every stem beats the untouched mixture, and none is worse than the champion's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sepcore.errors import DatasetError, GateRefused, ReleaseError
from sepcore.evaluation.choices import MARGIN_DB
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.host import parse_version
from sepcore.release.training_record import METRICS_FILE, ReleasableRun, released_scores
from sepcore.system.foreign import is_name
from sepcore.system.os_errors import errno_of, fix_for

_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class Candidate:
    """A model that may be released; ``forced`` says why the gate refused it, if it is published anyway."""

    name: str
    version: str
    run: ReleasableRun
    forced: str | None


@dataclass(frozen=True)
class Published(Candidate):
    """A model in a release, with the SHA-256 of its tarball (64 hex digits)."""

    tarball: Path
    sha256: str


@dataclass(frozen=True)
class Champion:
    """A released model to compare with, and its scores on its test set; None if it was released without."""

    version: str
    scores: ScoreSummary | None
    place: str = ""
    """Where it was found."""

    def __str__(self) -> str:
        """For messages: the version, and where it is."""
        return f"{self.version} in {self.place}" if self.place else self.version


def release_before(releases: Path, name: str, version: str) -> Champion | None:
    """The model ``name`` in the highest release below ``version``, pre-releases included; None if there is none.

    ReleaseError if that release cannot be read.
    """
    tarballs = {parse_version(file.parent.name): file for file in releases.glob(f"*/{name}.tar.gz")}
    newest = max((found for found in tarballs if found is not None and found < version), default=None)
    if newest is None:
        return None
    tarball = tarballs[newest]
    try:
        return Champion(str(newest), released_scores(tarball), str(releases))
    except (OSError, ValueError) as error:
        reason = f"{METRICS_FILE}: {error.problem}" if isinstance(error, DatasetError) else error
        raise ReleaseError(
            f"cannot be read ({reason}), so the new model cannot be compared with it",
            path=tarball,
            hint=f"{fix_for(error, reading=True)}, or remove the file.",
            errno=errno_of(error),
        ) from error


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
        GateRefused: one line with the stems that are not better than the untouched mixture, worse than the champion's,
            silent in a song, or not scored; or if the two were scored on different test sets.
    """
    # "not above" also holds for NaN: a stem that could not be scored has not shown that it is better.
    worse = [
        f"{name} ({stem.sdr:.2f} dB, mixture {stem.mixture_sdr:.2f} dB)"
        for name, stem in scores.stems.items()
        if not stem.sdr > stem.mixture_sdr
    ]
    worse += [
        f"{name} (silent in {stem.num_silent} of {scores.num_tracks} songs)"
        for name, stem in scores.stems.items()
        if stem.num_silent and stem.sdr > stem.mixture_sdr
    ]
    worse += [f"{name} (never scored)" for name in instruments if name not in scores.stems]
    if worse or not scores.stems:
        raise GateRefused(
            f"release refused: SDR on {scores.dataset} does not beat the untouched mixture for "
            f"{', '.join(worse) or 'any stem'}",
            hint="Train longer or on more songs, or publish with --force.",
        )
    if champion is not None and champion.scores is not None:
        _check_beside(scores, champion, champion.scores, margin_db)


def _check_beside(scores: ScoreSummary, champion: Champion, before: ScoreSummary, margin_db: float) -> None:
    mine, others = (f"{one.dataset} ({one.num_tracks} songs)" for one in (scores, before))
    if scores.made_from is not None and before.made_from is not None:
        same_songs = scores.made_from.songs == before.made_from.songs
        others = f"{others}, which are other songs," if mine == others else others
    else:  # scores of an earlier version have only a name
        same_songs = mine == others
    if not same_songs:
        raise GateRefused(
            f"release refused: scored on {mine}, but the champion {champion} on {others}, so they cannot be compared",
            hint="Evaluate this run on that test set, or publish with --force.",
        )
    worse = [
        f"{name} ({scores.stems[name].sdr:.2f} dB, {champion.version} has {stem.sdr:.2f} dB)"
        if name in scores.stems
        else f"{name} (the new model does not have it)"
        for name, stem in before.stems.items()
        if name not in scores.stems or scores.stems[name].sdr < stem.sdr - margin_db
    ]
    if worse:
        raise GateRefused(
            f"release refused: SDR on {scores.dataset} is more than {margin_db:g} dB below that of the champion "
            f"{champion} for {', '.join(worse)}",
            hint="Train further, allow more with --margin, or publish with --force.",
        )


def judge_run(
    run_folder: Path,
    *,
    version: str,
    releases: Path,
    name: str | None = None,
    champion: Champion | None = None,
    margin_db: float = MARGIN_DB,
    force: bool = False,
) -> Candidate:
    """Decide whether the model of a finished run may be published; nothing is written.

    Args:
        run_folder: Holds ``config.json``, ``model/``, ``done.json`` and ``scores.json``.
        version: Semantic version, ``1.2.3`` or ``1.2.3-rc.1``.
        releases: Folder of all releases.
        name: Of the model; by default the run's.
        champion: See `check_gate`; by default `release_before`.
        margin_db: See `check_gate`.
        force: Accept it without scores, or even if the gate refuses; the model card says so.

    Raises:
        ReleaseError: if the version or name is unusable, or the run is not finished.
        GateRefused: if the model was not scored, does not beat the untouched mixture, or is worse than the champion.
    """
    if parse_version(version) is None:
        raise ReleaseError(
            f"version is {version!r}, which is not a semantic version", hint="Give one such as 1.2.0 or 1.2.0-rc.1."
        )
    run = ReleasableRun.load(run_folder)
    name = run.record.name if name is None else name
    if not (_NAME.fullmatch(name) and is_name(name)):
        raise ReleaseError(
            f"name is {name!r}, but a model's name must be a file name",
            hint="Use letters, digits, '.', '+', '_' and '-'.",
        )
    if champion is None:
        champion = release_before(releases, name, version)
    try:
        if run.scores is None:
            raise GateRefused(
                f"release refused: the run {run_folder.name} {run.scores_note}",
                hint="Evaluate it, or publish with --force.",
            )
        check_gate(run.scores, run.config.instruments, champion, margin_db=margin_db)
    except GateRefused as refusal:
        if not force:
            raise
        return Candidate(name, version, run, forced=refusal.problem)
    return Candidate(name, version, run, forced=None)
