"""A state dict written as PyTorch stores one, without PyTorch: what `torch_file` reads, for ``torch.load``."""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_ROOT = "archive"
_OPENED = b"\x80\x02ccollections\nOrderedDict\n)R("
_CLOSED = b"u."
_REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n(("
_NO_HOOKS = b"\x89ccollections\nOrderedDict\n)RtR"  # no gradient
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_READABLE = 0o644 << 16


def write_state_dict(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write tensors as a checkpoint that ``torch.load(path, weights_only=True)`` gives as an ordered dict.

    Args:
        path: A file that is not there yet.
        tensors: By name, float32, in the order of the state dict. The same tensors give the same bytes.

    Raises:
        OSError: it exists or cannot be written.
    """
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _put(archive, "data.pkl", b"".join([_OPENED, *_pickled(tensors), _CLOSED]))
        _put(archive, "byteorder", b"little")
        for key, values in enumerate(tensors.values()):
            _put(archive, f"data/{key}", np.ascontiguousarray(values, "<f4").tobytes())
        _put(archive, "version", b"3\n")


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(f"{_ROOT}/{name}", _EPOCH)
    entry.create_system, entry.external_attr = _UNIX, _READABLE
    archive.writestr(entry, content)


def _pickled(tensors: Mapping[str, NDArray[np.float32]]) -> Iterator[bytes]:
    """Name and tensor in turn, in the instructions of pickle's second version."""
    for key, (name, values) in enumerate(tensors.items()):
        steps = [step // values.itemsize for step in np.empty_like(values, order="C").strides]
        yield _text(name)
        yield _REBUILD + _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(key)) + _text("cpu")
        yield _number(values.size) + b"tQ" + _number(0) + _numbers(values.shape) + _numbers(steps) + _NO_HOOKS


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _number(number: int) -> bytes:
    content = number.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def _numbers(numbers: "tuple[int, ...] | list[int]") -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"
