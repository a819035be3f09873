"""The file of a registered network for OpenVINO: converted once, and kept in the user's own cache."""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_IWGRP, S_IWOTH

from sepcore.config.model_config import ModelConfig
from sepcore.networks.checkpoint_files import checkpoint_data
from sepcore.provider.checksum import file_sha256, known_sha256
from sepcore.system.atomic import remove_leftovers
from sepcore.system.locks import locked

_logger = logging.getLogger(__name__)
# Incremented when files of earlier versions are no longer valid.
_FORMAT = 4
_PREFIX = f"network-{_FORMAT}-"
_UNUSED_S = 30 * 86_400


class ConversionFailed(Exception):
    """The network cannot be converted; the text is the reason in one line."""


def weights_sha256(folder: Path) -> str:
    """Sixty-four hex digits that change with the weights in a model's folder; unchanged files are read only once."""
    parts = checkpoint_data(folder)
    return hashlib.sha256(" ".join(map(known_sha256, parts)).encode()).hexdigest()


def converted_network(config: ModelConfig, folder: Path) -> Path | None:
    """The file of a model's network, if it has been converted and is intact."""
    return next((file for file in network_places(config, folder) if _is_good(file)), None)


def _is_good(file: Path) -> bool:
    """Whether a file is as this user wrote it: a damaged or forged network would run, but give other stems."""
    try:
        return _is_private(file.parent) and file_sha256(file) == checksum_file(file).read_text("ascii")
    except (OSError, ValueError):
        return False


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of this user, not a link, that nobody else can write to."""
    stat = folder.lstat()
    return S_ISDIR(stat.st_mode) and stat.st_uid == os.getuid() and not stat.st_mode & (S_IWGRP | S_IWOTH)


def checksum_file(file: Path) -> Path:
    """The file with the SHA-256 of a converted network; written before the network gets its name."""
    return file.with_suffix(".sha256")


def convert_network_once(config: ModelConfig, folder: Path) -> Path:
    """Convert a model's network, unless a process of this user has done that already.

    Another process does it, so that TensorFlow does not stay loaded in this one. A damaged file is converted again,
    which is logged; files that nobody has read for a month are removed.

    The ``folder`` holds the checkpoint. Nothing is written there, and nothing that came with the weights is run.

    Returns:
        A file in the user's cache or, if that cannot be written, in the folder for temporary files.

    Raises:
        ConversionFailed: ONNX has no operator for a part of the network, the weights do not fit, or neither place can
            be written.
    """
    if found := converted_network(config, folder):
        return found
    reasons = []
    for file in network_places(config, folder):
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(file.parent):
                reasons.append(f"{file.parent}: others can write to it")
                continue
            with locked(file.with_name(f"{file.name}.lock"), f"converting the network of {folder.name}"):
                if not _is_good(file):  # nobody else has converted it meanwhile
                    if file.exists():
                        _logger.warning("%s: is damaged and is converted again", file)
                    remove_leftovers(file.parent)
                    _remove_unused(file.parent)
                    _convert(config, folder, file)
        except OSError as error:
            reasons.append(f"{file.parent}: {error.strerror or error}")
            continue
        return file
    raise ConversionFailed("; ".join(reasons))


def network_places(config: ModelConfig, folder: Path) -> list[Path]:
    """Where the file of a model's network may be: in the user's cache, or among the user's temporary files."""
    # All that decides the network's graph and weights; the engine computes masks, so their settings do not count.
    network = config.model.model_dump_json()
    shape = (config.segment_frames, config.num_bins, config.num_channels, *config.instruments)
    text = f"{network} {shape} {weights_sha256(folder)}"
    name = f"{_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}.onnx"
    # Never beside the weights: a file there may have come with them.
    temporary = Path(tempfile.gettempdir()) / f"stemworks-{os.getuid()}" / name
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # The XDG base directory specification says to ignore a relative one.
        cache = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return [temporary]
    return [cache / "stemworks" / "private-networks" / name, temporary]


def _convert(config: ModelConfig, folder: Path, file: Path) -> None:
    _logger.info("converting the network in %s for the CPU, once", folder)
    # By its name, since engines must not import exports. With -P nothing is imported from the working folder, which may
    # hold anything: songs and files of other people.
    command = [sys.executable, "-P", "-m", "sepcore.export.convert", str(folder), str(file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(_import_path()), "CUDA_VISIBLE_DEVICES": "-1"}
    ran = subprocess.run(
        command, input=config.to_json(), capture_output=True, text=True, errors="replace", env=environment, check=False
    )
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        raise ConversionFailed(lines[-1] if lines else f"exit code {ran.returncode}")


def _import_path() -> list[str]:
    """Where this process finds packages, without the working folder and the folder of the started script."""
    project = Path(__file__).resolve().parents[2]
    entries = sys.path if sys.flags.safe_path else sys.path[1:]
    unsafe = {Path.cwd(), project}
    found = [entry for entry in map(Path, entries) if entry.is_absolute() and entry.resolve() not in unsafe]
    return [str(project), *map(str, found)]


def _remove_unused(folder: Path) -> None:
    for file in folder.glob("network-*.onnx"):
        with suppress(FileNotFoundError):  # another process has removed it
            stat = file.stat()
            if time.time() - max(stat.st_atime, stat.st_mtime) > _UNUSED_S:
                file.unlink()
                checksum_file(file).unlink()
