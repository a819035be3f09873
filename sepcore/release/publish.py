"""From a finished run to ``<releases>/<version>/<name>.tar.gz``, which is never changed again."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sepcore.atomic import atomic_path, remove_leftovers, write_text
from sepcore.config import ModelConfig
from sepcore.errors import GateRefused, ReleaseError
from sepcore.file_lock import locked
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import CHECKSUM_FILE, checksums_beside, file_sha256
from sepcore.provider.version import parse_version
from sepcore.release.card import model_card
from sepcore.release.champion import Champion, release_before
from sepcore.release.finished_run import FinishedRun
from sepcore.release.gate import MARGIN_DB, check_gate
from sepcore.release.licence import licence_text
from sepcore.release.training_record import METRICS_FILE, metrics_text

_NAME = re.compile(r"\w[\w.+-]*")
# Paths of the machine that trained; they lead nowhere on another.
_PATH_KEYS = ("train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache")


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


def publish_release(
    run_folder: Path,
    *,
    version: str,
    releases: Path,
    name: str | None = None,
    champion: Champion | None = None,
    margin_db: float = MARGIN_DB,
    force: bool = False,
) -> Published:
    """Publish the model of a finished run.

    Args:
        run_folder: Holds ``config.json``, ``model/``, ``done.json`` and ``scores.json``.
        version: Semantic version, ``1.2.3`` or ``1.2.3-rc.1``.
        releases: Folder of all releases.
        name: Of the model; by default the run's.
        champion: The model that it must not be worse than; by default that of the version below in ``releases``.
        margin_db: See `gate.check_gate`.
        force: Publish without scores, or against the gate; the model card says so.

    Returns:
        What was published. The same run gives the same bytes; publishing them again changes nothing.

    Raises:
        ReleaseError: if the version or name is unusable, the run is not finished, the version is there already with
            other content, or the folder cannot be written.
        GateRefused: if the model was not scored, does not beat the untouched mixture, or is worse than the champion.
    """
    if parse_version(version) is None:
        raise ReleaseError(f"version is {version!r}; expected a semantic version such as 1.2.0 or 1.2.0-rc.1.")
    run = FinishedRun.load(run_folder)
    name = run.name if name is None else name
    if not _NAME.fullmatch(name):
        raise ReleaseError(f"name is {name!r}; a model's name is a file name: use letters, digits, '.', '+', '_', '-'.")
    tarball = releases / version / f"{name}.tar.gz"
    if champion is None:
        champion = release_before(releases, name, version)
    refusal = _refusal(run, run_folder, champion, margin_db)
    if refusal is not None and not force:
        raise refusal
    forced = str(refusal) if refusal is not None else None
    card = model_card(run, name=name, version=version, forced=forced)
    try:
        tarball.parent.mkdir(parents=True, exist_ok=True)
        # Two models of one version may be published at once; their checksums go into one file.
        with locked(releases / f".{version}.lock", f"publishing {version}"):
            remove_leftovers(tarball.parent)
            digest = _write_once(_members(run, name, card), tarball, name)
    except OSError as error:
        raise ReleaseError(f"{tarball}: cannot be written ({error}); give another folder of releases.") from error
    return Published(name, version, tarball, digest, run, forced)


def _refusal(run: FinishedRun, run_folder: Path, champion: Champion | None, margin_db: float) -> GateRefused | None:
    """Why the gate refuses the run."""
    if run.scores is None:
        return GateRefused(
            f"release refused: the run {run_folder.name} {run.scores_note}; evaluate it, or give --force."
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
        "config.json": _released_config(run.config, name).encode(),
        "checkpoint": pointer.encode(),
        "model_card.md": card.encode(),
        METRICS_FILE: metrics_text(run).encode(),
        "LICENSE": licence_text(name).encode(),
    }
    members |= {file.name: file for file in prefix.parent.glob(f"{prefix.name}.data-*-of-*")}
    members[f"{prefix.name}.index"] = prefix.with_name(f"{prefix.name}.index")
    return members


def _released_config(config: ModelConfig, name: str) -> str:
    content = {key: value for key, value in json.loads(config.to_json()).items() if key not in _PATH_KEYS}
    return json.dumps({**content, "model_dir": name}, indent=2, ensure_ascii=False) + "\n"


def _write_once(members: dict[str, bytes | Path], tarball: Path, name: str) -> str:
    """Write a tarball and its checksum, or find them there; the checksum."""
    published = checksums_beside(tarball)
    with atomic_path(tarball) as temporary:
        pack_archive(members, temporary)
        digest = file_sha256(temporary)
        there = {published[name]} if name in published else set()
        if tarball.is_file():
            there.add(file_sha256(tarball))
        if there - {digest}:
            raise ReleaseError(
                f"{tarball}: this version is published with other content and is never overwritten; "
                "give the next version."
            )
    # After the tarball: a process killed in between is made good by publishing again.
    write_text(tarball.parent / CHECKSUM_FILE, json.dumps({**published, name: digest}, indent=2, sort_keys=True) + "\n")
    return digest
