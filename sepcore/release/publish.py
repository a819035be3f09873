"""Publish finished runs as ``<releases>/<version>/<name>.tar.gz``, which is never changed again."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from sepcore.errors import ProviderError, ReleaseError
from sepcore.networks.checkpoint_files import data_files
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import (
    CHECKSUM_FILE,
    VerifiedArchive,
    check_sha256,
    file_sha256,
    read_checksums,
)
from sepcore.release.card import model_card
from sepcore.release.gate import Candidate, Published
from sepcore.release.training_record import METRICS_FILE, metrics_text, released_config
from sepcore.system.atomic import atomic_path, made_folder, remove_leftovers, write_text
from sepcore.system.locks import locked
from sepcore.system.os_errors import fix_for

TARBALL_SUFFIX = ".tar.gz"
# GitHub renames an asset that has other characters in its name; the model would not be found under its own.
_GITHUB_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)
_PUBLISH_AGAIN = "Publish the runs of this version again."

Check = Callable[[Mapping[str, VerifiedArchive]], None]
"""Called with the tarballs of all candidates, by name, before any is published; raises to refuse them."""


def publish_candidates(
    candidates: Sequence[Candidate], releases: Path, *, check: Check = lambda staged: None
) -> list[Published]:
    """Publish models of one version: all, or none if one of them is refused.

    Args:
        candidates: One or more, all of one version.
        releases: Folder of all releases.
        check: Called when all tarballs are written under temporary names.

    Returns:
        The published models in the same order. The same run gives the same bytes; publishing again changes nothing.

    Raises:
        ReleaseError: if two have one name, the version already has other content of one of them, or the folder cannot
            be written.
    """
    (version,) = {candidate.version for candidate in candidates}
    ((name, number),) = Counter(candidate.name for candidate in candidates).most_common(1)
    if number > 1:
        raise ReleaseError(
            f"{number} runs would be published as {name} {version}", hint="Give each run its own name with --models."
        )
    folder = releases / version
    tarballs = {candidate.name: folder / f"{candidate.name}{TARBALL_SUFFIX}" for candidate in candidates}
    try:
        # Two models of one version may be published at once; their checksums go into one file.
        with made_folder(folder), locked(releases / f".{version}.lock", f"publishing {version}"):
            remove_leftovers(folder)
            published = read_checksums(folder)
            with ExitStack() as renamed_at_the_end:
                staged = {}
                for candidate in candidates:
                    tarball = tarballs[candidate.name]
                    temporary = renamed_at_the_end.enter_context(atomic_path(tarball))
                    digest = _pack(candidate, temporary, tarball, published.get(candidate.name))
                    staged[candidate.name] = VerifiedArchive(temporary, digest, str(tarball))
                check(staged)
            # After the tarballs: if the process is killed in between, publishing again completes the release.
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
        Published(one.name, version, one.run, one.forced, tarballs[one.name], digests[one.name]) for one in candidates
    ]


def _members(candidate: Candidate) -> dict[str, bytes | Path]:
    """The files of a release by their names in the tarball."""
    run, prefix = candidate.run, candidate.run.checkpoint
    # The run's own file may hold a path of its machine.
    pointer = f'model_checkpoint_path: "{prefix.name}"\nall_model_checkpoint_paths: "{prefix.name}"\n'
    return {
        "config.json": released_config(run.config, candidate.name).encode(),
        "checkpoint": pointer.encode(),
        "model_card.md": model_card(candidate).encode(),
        METRICS_FILE: metrics_text(run).encode(),
        **{file.name: file for file in (prefix.with_name(f"{prefix.name}.index"), *data_files(prefix))},
    }


def _pack(candidate: Candidate, temporary: Path, tarball: Path, published: str | None) -> str:
    """Write a tarball under a temporary name, and return its SHA-256; ReleaseError if another one is published."""
    pack_archive(_members(candidate), temporary)
    digest = file_sha256(temporary)
    if published not in (None, digest) or (tarball.is_file() and file_sha256(tarball) != digest):
        raise ReleaseError(
            "this version is already published with other content and is never overwritten",
            path=tarball,
            hint="Give the next version.",
        )
    return digest


def checked_models(folder: Path, staged: Mapping[str, VerifiedArchive] | None = None) -> dict[str, VerifiedArchive]:
    """The models of a release by name; the tarballs are read and compared with the release's ``checksum.json``.

    Args:
        folder: Holds ``<model>.tar.gz`` files and the ``checksum.json`` that lists them.
        staged: Models that are about to be published in it; used instead of those of their names there.

    Raises:
        ReleaseError: one line, if a tarball is missing, not listed or another one, if there is none at all, or if
            GitHub would change a model's name.
        OSError: if a file cannot be read.
    """
    staged = staged or {}
    if not (folder / CHECKSUM_FILE).is_file() and not staged:
        raise ReleaseError(
            f"not a release (it has no {CHECKSUM_FILE})", path=folder, hint="Give the folder of a version."
        )
    try:
        listed = read_checksums(folder)
    except ProviderError as error:
        raise ReleaseError(error.problem, path=error.path, hint=_PUBLISH_AGAIN) from error
    tarballs = {name: folder / f"{name}{TARBALL_SUFFIX}" for name in listed if name not in staged}
    there = {file.name for file in folder.glob(f"*{TARBALL_SUFFIX}") if not file.name.startswith(".")}
    there -= {f"{name}{TARBALL_SUFFIX}" for name in staged}
    expected = {tarball.name for tarball in tarballs.values()}
    if expected != there or not (tarballs or staged):
        missing, unlisted = sorted(expected - there), sorted(there - expected)
        reason = (
            f"{CHECKSUM_FILE} lists {', '.join(missing)}, which is not there"
            if missing
            else f"{CHECKSUM_FILE} does not list {', '.join(unlisted) or 'any model'}"
        )
        raise ReleaseError(reason, path=folder, hint=_PUBLISH_AGAIN)
    models = {name: VerifiedArchive(tarball, listed[name], str(tarball)) for name, tarball in tarballs.items()}
    for name in {**models, **staged}:
        if not _GITHUB_NAME.fullmatch(name):
            raise ReleaseError(f"GitHub would rename {name!r}", path=folder, hint="Publish it with a --name in ASCII.")
    for model in models.values():
        try:
            check_sha256(model.origin, file_sha256(model.path), model.sha256)
        except ProviderError as error:
            raise ReleaseError(error.problem, path=error.path, hint="Publish its run again.") from error
    return {**models, **staged}
