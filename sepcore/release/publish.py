"""From a finished run to ``<releases>/<version>/<name>.tar.gz``, which is never changed again."""

import json
import re
from pathlib import Path

from filelock import FileLock

from sepcore.atomic import atomic_path, write_text
from sepcore.config import ModelConfig
from sepcore.errors import GateRefused, ReleaseError
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import CHECKSUM_FILE, checksums_beside, file_sha256
from sepcore.release.card import model_card
from sepcore.release.finished_run import SCORES_FILE, FinishedRun
from sepcore.release.gate import check_gate
from sepcore.release.licence import licence_text

_NUMBER = r"(0|[1-9]\d*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?", re.ASCII)
_NAME = re.compile(r"\w[\w.+-]*")
# Paths of the machine that trained; they lead nowhere on another.
_PATH_KEYS = ("train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache")


def publish_release(
    run_folder: Path, *, version: str, releases: Path, name: str | None = None, force: bool = False
) -> Path:
    """Publish the model of a finished run.

    Args:
        run_folder: Holds ``config.json``, ``model/``, ``done.json`` and ``scores.json``.
        version: Semantic version, ``1.2.3`` or ``1.2.3-rc.1``.
        releases: Folder of all releases.
        name: Of the model; by default the run's.
        force: Publish without scores, or against the gate; the model card says so.

    Returns:
        The tarball. The same run gives the same bytes; publishing them again changes nothing.

    Raises:
        ReleaseError: if the version or name is unusable, the run is not finished, the version is there already with
            other content, or the folder cannot be written.
        GateRefused: if the model was not scored, or does not beat the untouched mixture.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"version is {version!r}; expected a semantic version such as 1.2.0 or 1.2.0-rc.1.")
    run = FinishedRun.load(run_folder)
    name = run.name if name is None else name
    if not _NAME.fullmatch(name):
        raise ReleaseError(f"name is {name!r}; a model's name is a file name: use letters, digits, '.', '+', '_', '-'.")
    forced = _gate(run, run_folder, force)
    card = model_card(run, name=name, version=version, forced=forced)
    tarball = releases / version / f"{name}.tar.gz"
    try:
        tarball.parent.mkdir(parents=True, exist_ok=True)
        # Two models of one version may be published at once; their checksums go into one file.
        with FileLock(releases / f".{version}.lock"):
            _write_once(_members(run, run_folder, name, card), tarball, name)
    except OSError as error:
        raise ReleaseError(f"{tarball}: cannot be written ({error}); give another folder of releases.") from error
    return tarball


def _gate(run: FinishedRun, run_folder: Path, force: bool) -> str | None:
    """Why the gate refuses the run, if it is published all the same."""
    try:
        if run.scores is None:
            raise GateRefused(
                f"release refused: the run {run_folder.name} has no {SCORES_FILE}; evaluate it, or give --force."
            )
        check_gate(run.scores)
    except GateRefused as refusal:
        if not force:
            raise
        return str(refusal)
    return None


def _members(run: FinishedRun, run_folder: Path, name: str, card: str) -> dict[str, bytes | Path]:
    """The files of a release by their names in the tarball."""
    prefix = run.checkpoint
    # Written anew: the run's own may hold a path of its machine.
    pointer = f'model_checkpoint_path: "{prefix.name}"\nall_model_checkpoint_paths: "{prefix.name}"\n'
    members: dict[str, bytes | Path] = {
        "config.json": _released_config(run.config, name).encode(),
        "checkpoint": pointer.encode(),
        "model_card.md": card.encode(),
        "LICENSE": licence_text(name).encode(),
    }
    members |= {file.name: file for file in prefix.parent.glob(f"{prefix.name}.data-*-of-*")}
    members[f"{prefix.name}.index"] = prefix.with_name(f"{prefix.name}.index")
    if run.scores:
        members["metrics.json"] = run_folder / SCORES_FILE
    return members


def _released_config(config: ModelConfig, name: str) -> str:
    content = {key: value for key, value in json.loads(config.to_json()).items() if key not in _PATH_KEYS}
    return json.dumps({**content, "model_dir": name}, indent=2, ensure_ascii=False) + "\n"


def _write_once(members: dict[str, bytes | Path], tarball: Path, name: str) -> None:
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
