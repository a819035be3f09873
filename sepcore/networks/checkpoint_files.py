"""A TensorFlow checkpoint's files, told by their names: no TensorFlow needed."""

import glob
import re
from pathlib import Path

from sepcore.system.atomic import TEMPORARY_NAME

_MOST_OF_A_POINTER = 1 << 16  # two lines, and one for each checkpoint that a training keeps
_CHECKPOINT = re.compile(r"checkpoint|model\.(index|meta|data-[0-9]{5}-of-[0-9]{5})|\.probe")
# What earlier versions of `engines.converted` made of a checkpoint and put beside it.
_CONVERTED = re.compile(r"\.network-([0-9]+-)?[0-9a-f]{16}\.(onnx|sha256|onnx\.lock)")


def checkpoint_names(folder: Path) -> set[str]:
    """The names in a folder that are those of a checkpoint's files, as this project and Spleeter call them."""
    return {path.name for path in folder.glob("*") if _CHECKPOINT.fullmatch(path.name)}


def derived_names(folder: Path) -> set[str]:
    """The names in a folder that are those of files that this project makes of a checkpoint there."""
    patterns = (_CONVERTED, TEMPORARY_NAME)
    return {path.name for path in folder.glob("*") if any(pattern.fullmatch(path.name) for pattern in patterns)}


def model_names(folder: Path) -> set[str]:
    """The names in a folder that are those of a checkpoint's files, or of what this project makes of them."""
    return checkpoint_names(folder) | derived_names(folder)


def find_checkpoint(folder: Path) -> Path | None:
    """The prefix of a folder's checkpoint (``folder/model`` of ``folder/model.index``), or None if none is whole.

    The file ``checkpoint`` decides; where it is missing or names a path of another machine, the newest index does.
    """
    indices = sorted(folder.glob("*.index"), key=lambda file: file.stat().st_mtime)
    prefixes = [index.with_suffix("") for index in indices]
    pointer = folder / "checkpoint"
    if pointer.is_file():
        with pointer.open("rb") as file:
            text = file.read(_MOST_OF_A_POINTER).decode("utf-8", "replace")
        named = re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE)
        if named and Path(named[1]).name:
            prefixes.append(folder / Path(named[1]).name)
    return next((prefix for prefix in reversed(prefixes) if _is_whole(prefix)), None)


def checkpoint_data(folder: Path) -> list[Path]:
    """The files that hold the weights of a folder's checkpoint, in their order; none without a whole checkpoint."""
    return checkpoint_files(folder)[1:]


def checkpoint_files(folder: Path) -> list[Path]:
    """The index and the weights of a folder's checkpoint; none without a whole checkpoint."""
    checkpoint = find_checkpoint(folder)
    return [checkpoint.with_name(f"{checkpoint.name}.index"), *data_files(checkpoint)] if checkpoint else []


def data_files(prefix: Path) -> list[Path]:
    """The files of a checkpoint's weights, in their order."""
    return sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*-of-*"))


def _is_whole(prefix: Path) -> bool:
    if not prefix.with_name(f"{prefix.name}.index").is_file():
        return False
    parts = data_files(prefix)
    total = parts[0].name.rpartition("-of-")[2] if parts else ""
    return total.isdecimal() and len(parts) == int(total)
