"""The file of a model's network for the lean engine: made once, kept beside the weights, made anew for others."""

import hashlib
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

from sepcore.atomic import remove_leftovers
from sepcore.config import ModelConfig
from sepcore.file_lock import locked
from sepcore.networks.checkpoint_files import checkpoint_data, find_checkpoint
from sepcore.provider.checksum import file_sha256, known_sha256

_logger = logging.getLogger(__name__)
# Counted up when files that older versions wrote are no longer good.
_FORMAT = 3
_PREFIX = f".network-{_FORMAT}-"
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class ConversionFailed(Exception):
    """The network cannot be converted; the text is one line that says why."""


def weights_sha256(folder: Path) -> str:
    """Sixty-four hex digits that change with the weights in a model's folder; they are read once until they change."""
    parts = checkpoint_data(folder)
    return hashlib.sha256(" ".join(map(known_sha256, parts)).encode()).hexdigest()


def converted_network(config: ModelConfig, folder: Path) -> Path | None:
    """The file of a model's network, if it has been converted and is whole."""
    return next((file for file in network_places(config, folder) if _is_whole(file)), None)


def _is_whole(file: Path) -> bool:
    """Whether a file is what was written: a damaged network may run all the same, and give other stems."""
    try:
        return file_sha256(file) == checksum_file(file).read_text("ascii")
    except (OSError, ValueError):
        return False


def checksum_file(file: Path) -> Path:
    """Where the SHA-256 of a converted network stands; written before the network gets its name."""
    return file.with_suffix(".sha256")


def convert_network_once(config: ModelConfig, folder: Path) -> Path:
    """Convert a model's network, unless that has been done, by whatever process.

    It is done in a process of its own: TensorFlow, which reads the checkpoint, is loaded there and gone after. A file
    that a disk has damaged since is made anew, which is logged; files of weights that the folder had before are
    removed.

    Args:
        config: The model's config.
        folder: Holds its checkpoint; the file is put there, or where that cannot be written into the user's cache.

    Raises:
        ConversionFailed: ONNX has no operator for a part of the network, the weights do not fit, or neither place can
            be written.
    """
    if found := converted_network(config, folder):
        return found
    reasons = []
    for file in network_places(config, folder):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with locked(file.with_name(f"{file.name}.lock"), f"converting the network of {folder.name}"):
                if not _is_whole(file):  # nobody else has converted it meanwhile
                    if file.exists():
                        _logger.warning("%s: is damaged, and made anew", file)
                    remove_leftovers(file.parent)
                    _convert(config, folder, file)
        except OSError as error:
            reasons.append(f"{file.parent}: {error.strerror or error}")
            continue
        _remove_others(file)
        return file
    raise ConversionFailed("; ".join(reasons))


def network_places(config: ModelConfig, folder: Path) -> list[Path]:
    """Where the file of a model's network may be: beside the weights in ``folder``, and in the user's cache."""
    # Everything that decides the network's graph and weights. Masks are the engine's, so -16kHz's only other F counts.
    network = config.model.model_dump_json()
    shape = (config.segment_frames, config.num_bins, config.num_channels, *config.instruments)
    text = f"{network} {shape} {weights_sha256(folder)}"
    name = f"{_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:16]}.onnx"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stemworks" / "networks"
    # Folders that are marked read-only stay as they are, even where root could write.
    return [place / name for place in (folder, cache) if place is cache or place.stat().st_mode & _WRITABLE]


def _convert(config: ModelConfig, folder: Path, file: Path) -> None:
    _logger.info("converting the network in %s for the CPU, once", folder)
    # By its name: exports stand above the engines. The child looks for it where this process found its own packages.
    command = [sys.executable, "-m", "sepcore.export.convert", str(folder), str(file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "CUDA_VISIBLE_DEVICES": "-1"}
    ran = subprocess.run(
        command, input=config.to_json(), capture_output=True, text=True, errors="replace", env=environment, check=False
    )
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        raise ConversionFailed(lines[-1] if lines else f"exit code {ran.returncode}")


def _remove_others(file: Path) -> None:
    """Remove the files of weights that a model's folder holds no more, and those that older versions wrote."""
    for other in file.parent.glob(".network-*.onnx"):
        outdated = not other.name.startswith(_PREFIX)
        # Files in the cache are other models', and those beside the weights may be of another F.
        replaced = find_checkpoint(file.parent) is not None and other.stat().st_mtime < _weights_time(file.parent)
        if other != file and (outdated or replaced):
            other.unlink(missing_ok=True)
            checksum_file(other).unlink(missing_ok=True)


def _weights_time(folder: Path) -> float:
    return max(part.stat().st_mtime for part in folder.glob("*.data-*"))
