"""Whether a folder holds a whole TensorFlow checkpoint, told from its files' names: no TensorFlow needed."""

import re
from pathlib import Path


def find_checkpoint(folder: Path) -> Path | None:
    """The prefix of a folder's checkpoint (``folder/model`` of ``folder/model.index``), or None if none is whole.

    The file ``checkpoint`` decides; where it is missing or names a path of another machine, the newest index does.
    """
    indices = sorted(folder.glob("*.index"), key=lambda file: file.stat().st_mtime)
    prefixes = [index.with_suffix("") for index in indices]
    pointer = folder / "checkpoint"
    if pointer.is_file():
        named = re.search(r'^model_checkpoint_path: "(.*)"', pointer.read_text("utf-8", "replace"), re.MULTILINE)
        if named:
            prefixes.append(folder / Path(named[1]).name)
    return next((prefix for prefix in reversed(prefixes) if _is_whole(prefix)), None)


def checkpoint_data(folder: Path) -> list[Path]:
    """The files that hold the weights of a folder's checkpoint, in their order; none without a whole checkpoint."""
    checkpoint = find_checkpoint(folder)
    return sorted(folder.glob(f"{checkpoint.name}.data-*")) if checkpoint else []


def _is_whole(prefix: Path) -> bool:
    if not prefix.with_name(f"{prefix.name}.index").is_file():
        return False
    parts = list(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))
    return bool(parts) and len(parts) == int(parts[0].name.rpartition("-of-")[2])
