"""From finished runs to ``<releases>/<version>/<name>.tar.gz``, which is never changed again."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sepcore.errors import GateRefused, ReleaseError
from sepcore.evaluation.choices import MARGIN_DB
from sepcore.networks.checkpoint_files import data_files
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import CHECKSUM_FILE, VerifiedArchive, checksums_beside, file_sha256
from sepcore.provider.version import parse_version
from sepcore.release.card import model_card
from sepcore.release.champion import Champion, release_before
from sepcore.release.finished_run import FinishedRun
from sepcore.release.gate import check_gate
from sepcore.release.paths import released_config
from sepcore.release.training_record import METRICS_FILE, metrics_text
from sepcore.system.atomic import atomic_path, made_folder, remove_leftovers, write_text
from sepcore.system.foreign import is_name
from sepcore.system.locks import locked
from sepcore.system.os_errors import fix_for

_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class Published:
    """A model in a release.

    Attributes:
        name: Of the model.
        version: Of the release.
        tarball: Its file.
        sha256: Of the tarball, 64 hex digits.
        run: What it was made from.
        forced: Why the gate would have refused it, if it was published all the same.
    """

    name: str
    version: str
    tarball: Path
    sha256: str
    run: FinishedRun
    forced: str | None


@dataclass(frozen=True)
class Candidate:
    """A model that may be released: judged, and not written yet.

    Attributes:
        name: Of the model.
        version: Of the release.
        run: What it is made from.
        forced: Why the gate would have refused it, if it is to be published all the same.
    """

    name: str
    version: str
    run: FinishedRun
    forced: str | None


Check = Callable[[Mapping[str, VerifiedArchive]], None]
"""Told the tarballs of all candidates, by name, before the first of them is published; raises to refuse them."""


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
        margin_db: See `gate.check_gate`.
        force: Let it pass without scores, or against the gate; the model card says so.

    Raises:
        ReleaseError: if the version or name is unusable, or the run is not finished.
        GateRefused: if the model was not scored, does not beat the untouched mixture, or is worse than the champion.
    """
    if parse_version(version) is None:
        raise ReleaseError(
            f"version is {version!r}, which is not a semantic version", hint="Give one such as 1.2.0 or 1.2.0-rc.1."
        )
    run = FinishedRun.load(run_folder)
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


def publish_candidates(
    candidates: Sequence[Candidate], releases: Path, *, check: Check = lambda staged: None
) -> list[Published]:
    """Publish models of one version: all, or none if one of them is refused.

    Args:
        candidates: One or more, all of one version.
        releases: Folder of all releases.
        check: Called when all tarballs are written under temporary names, and nothing is published yet.

    Returns:
        What was published, in the same order. The same run gives the same bytes; publishing them again changes nothing.

    Raises:
        ReleaseError: if two have one name, the version is there already with other content of one of them, or the
            folder cannot be written.
    """
    (version,) = {candidate.version for candidate in candidates}
    ((name, number),) = Counter(candidate.name for candidate in candidates).most_common(1)
    if number > 1:
        raise ReleaseError(
            f"{number} runs would be published as {name} {version}", hint="Give each run its own name with --models."
        )
    folder = releases / version
    tarballs = {candidate.name: folder / f"{candidate.name}.tar.gz" for candidate in candidates}
    try:
        # Two models of one version may be published at once; their checksums go into one file.
        with made_folder(folder), locked(releases / f".{version}.lock", f"publishing {version}"):
            remove_leftovers(folder)
            published = checksums_beside(folder / CHECKSUM_FILE)
            with ExitStack() as renamed_at_the_end:
                staged = {}
                for candidate in candidates:
                    tarball = tarballs[candidate.name]
                    temporary = renamed_at_the_end.enter_context(atomic_path(tarball))
                    digest = _pack(candidate, temporary, tarball, published.get(candidate.name))
                    staged[candidate.name] = VerifiedArchive(temporary, digest, str(tarball))
                check(staged)
            # After the tarballs: a process killed in between is made good by publishing again.
            digests = {name: archive.sha256 for name, archive in staged.items()}
            write_text(folder / CHECKSUM_FILE, json.dumps({**published, **digests}, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise ReleaseError(
            f"cannot be written ({error})",
            path=folder,
            hint=f"{fix_for(error)}, or choose another folder with --releases.",
            errno=error.errno,
        ) from error
    return [
        Published(one.name, version, tarballs[one.name], digests[one.name], one.run, one.forced) for one in candidates
    ]


def _refusal(run: FinishedRun, run_folder: Path, champion: Champion | None, margin_db: float) -> GateRefused | None:
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


def _members(run: FinishedRun, name: str, card: str) -> dict[str, bytes | Path]:
    """The files of a release by their names in the tarball."""
    prefix = run.checkpoint
    # Written anew: the run's own may hold a path of its machine.
    pointer = f'model_checkpoint_path: "{prefix.name}"\nall_model_checkpoint_paths: "{prefix.name}"\n'
    members: dict[str, bytes | Path] = {
        "config.json": released_config(run.config, name).encode(),
        "checkpoint": pointer.encode(),
        "model_card.md": card.encode(),
        METRICS_FILE: metrics_text(run).encode(),
    }
    members |= {file.name: file for file in data_files(prefix)}
    members[f"{prefix.name}.index"] = prefix.with_name(f"{prefix.name}.index")
    return members


def _pack(candidate: Candidate, temporary: Path, tarball: Path, published: str | None) -> str:
    """Write a tarball under a temporary name; its SHA-256, which is that of what is there already, if anything is."""
    card = model_card(candidate.run, name=candidate.name, version=candidate.version, forced=candidate.forced)
    pack_archive(_members(candidate.run, candidate.name, card), temporary)
    digest = file_sha256(temporary)
    there = {published} if published is not None else set()
    if tarball.is_file():
        there.add(file_sha256(tarball))
    if there - {digest}:
        raise ReleaseError(
            "this version is already published with other content and is never overwritten",
            path=tarball,
            hint="Give the next version.",
        )
    return digest
