"""The gate of a release: every stem beats the untouched mixture, and none is worse than in the champion before it."""

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
from sepcore.system.os_errors import fix_for

_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class Candidate:
    """A model that may be released: judged, and not written yet.

    Attributes:
        name: Of the model.
        version: Of the release.
        run: What it is made from.
        forced: Why the gate would have refused it, if it is published all the same.
    """

    name: str
    version: str
    run: ReleasableRun
    forced: str | None


@dataclass(frozen=True)
class Published(Candidate):
    """A model in a release.

    Attributes:
        tarball: Its file.
        sha256: Of the tarball, 64 hex digits.
    """

    tarball: Path
    sha256: str


@dataclass(frozen=True)
class Champion:
    """A released model to compare with.

    Attributes:
        version: Of its release.
        scores: On its test set; None if it was released without.
    """

    version: str
    scores: ScoreSummary | None


def release_before(releases: Path, name: str, version: str) -> Champion | None:
    """The model of a name in the highest of a folder's versions below ``version``; None if there is none.

    Pre-releases count, what came after does not: published again, a version meets the same champion.

    Raises:
        ReleaseError: if that release cannot be read.
    """
    tarballs = {parse_version(file.parent.name): file for file in releases.glob(f"*/{name}.tar.gz")}
    versions = [found for found in tarballs if found is not None and found < version]
    if not versions:
        return None
    newest = max(versions)
    tarball = tarballs[newest]
    try:
        return Champion(str(newest), released_scores(tarball))
    except OSError as error:
        raise ReleaseError(
            f"cannot be read ({error}), so the new model cannot be compared with it",
            path=tarball,
            hint=f"{fix_for(error, reading=True)}, or remove the file.",
            errno=error.errno,
        ) from error
    except ValueError as error:
        reason = f"{METRICS_FILE}: {error.problem}" if isinstance(error, DatasetError) else error
        raise ReleaseError(
            f"cannot be read ({reason}), so the new model cannot be compared with it",
            path=tarball,
            hint="Fix or remove the file.",
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
    """Whether the model of a finished run may be published; nothing is written.

    Args:
        run_folder: Holds ``config.json``, ``model/``, ``done.json`` and ``scores.json``.
        version: Semantic version, ``1.2.3`` or ``1.2.3-rc.1``.
        releases: Folder of all releases.
        name: Of the model; by default the run's.
        champion: The model that it must not be worse than; by default that of the version below in ``releases``.
        margin_db: See `check_gate`.
        force: Let it pass without scores, or against the gate; the model card says so.

    Raises:
        ReleaseError: if the version or name is unusable, or the run is not finished.
        GateRefused: if the model was not scored, does not beat the untouched mixture, or is worse than the champion.
    """
    if parse_version(version) is None:
        raise ReleaseError(
            f"version is {version!r}, which is not a semantic version", hint="Give one such as 1.2.0 or 1.2.0-rc.1."
        )
    run = ReleasableRun.load(run_folder)
    name = run.name if name is None else name
    if not (_NAME.fullmatch(name) and is_name(name)):
        raise ReleaseError(
            f"name is {name!r}, but a model's name must be a file name",
            hint="Use letters, digits, '.', '+', '_' and '-'.",
        )
    if champion is None:
        champion = release_before(releases, name, version)
    refusal = _refusal(run, run_folder, champion, margin_db)
    if refusal is not None and not force:
        raise refusal
    return Candidate(name, version, run, refusal.problem if refusal is not None else None)


def _refusal(run: ReleasableRun, run_folder: Path, champion: Champion | None, margin_db: float) -> GateRefused | None:
    """Why the gate refuses the run."""
    if run.scores is None:
        return GateRefused(
            f"release refused: the run {run_folder.name} {run.scores_note}",
            hint="Evaluate it, or publish with --force.",
        )
    try:
        check_gate(run.scores, run.config.instruments, champion, margin_db=margin_db)
    except GateRefused as refusal:
        return refusal
    return None
