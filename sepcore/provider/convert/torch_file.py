"""A PyTorch checkpoint, read without PyTorch: a zip of one pickle and the raw values of each storage.

``NAME/data.pkl`` describes the tensors (`torch_pickle`), ``NAME/data/<key>`` holds a storage's values, uncompressed,
``NAME/byteorder`` their order of bytes. The format: torch/serialization.py, and caffe2/serialize/inline_container.cc.
Nothing is unpacked to disk, and what is read at once is never more than the file holds.
"""

import math
import re
import struct
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sepcore.errors import CheckpointError
from sepcore.provider.convert.torch_pickle import BadPickle, ForeignGlobal, TorchTensor, read_pickle
from sepcore.system.foreign import shortened
from sepcore.system.os_errors import fix_for, reason_of
from sepcore.system.printable import printable

_PICKLE = re.compile(r"([^/]+)/data\.pkl")
_MOST_ENTRIES = 100_000
_MOST_PICKLE_BYTES = 8 << 20
_MOST_SHOWN = 80
_SAVE_STATE = "Save the tensors alone, with PyTorch: torch.save(model.state_dict(), FILE)."
# What zipfile raises, beside its own errors, at an entry that makes no sense.
_NONSENSE = (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, struct.error, OverflowError, LookupError)
_TAR = slice(257, 262)


class TorchFile:
    """An open checkpoint of PyTorch's. A context manager; `content` has its containers, `read` its tensors' values.

    Args:
        path: The file, as ``torch.save`` has written it since PyTorch 1.6.

    Raises:
        CheckpointError: it cannot be read, is of another format, is damaged, or holds anything but tensors and
            containers; nothing of it has been run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._size = path.stat().st_size
            if not path.is_file() and not path.is_dir():  # a pipe would keep the reader waiting
                raise self._other_format(b"")
            with path.open("rb") as file:
                start = file.read(512)
            if not start.startswith(b"PK"):
                raise self._other_format(start)
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise CheckpointError(
                f"cannot be read ({reason_of(error)})",
                path=path,
                errno=error.errno,
                hint=f"{fix_for(error, reading=True)}, or give another file.",
            ) from error
        except _NONSENSE as error:
            raise self._damaged(str(error)) from error
        try:
            self._entries = self._checked_entries()
            self._root = self._found_root()
            self._order = self._byte_order()
            self.content = self._unpickled()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, tensors: Mapping[str, TorchTensor]) -> dict[str, NDArray[Any]]:
        """The values of some tensors by their names, each of its own type and C-contiguous; bfloat16 as float32.

        Raises:
            CheckpointError: they lie outside of their storages, the storages are damaged, or they would need more
                memory than the file has bytes.
        """
        wanted = sum(math.prod(tensor.shape) * _item_size(tensor.kind) for tensor in tensors.values())
        if wanted > self._size:
            raise self._damaged(f"its tensors would have {wanted} bytes, more than the file")
        of_storage: dict[str, list[str]] = defaultdict(list)
        for name, tensor in tensors.items():
            of_storage[tensor.key].append(name)
        found: dict[str, NDArray[Any]] = {}
        for key, names in of_storage.items():
            raw = self._bytes_of(f"{self._root}/data/{key}")
            found |= {name: self._values(name, tensors[name], raw) for name in names}
        return {name: found[name] for name in tensors}

    def _values(self, name: str, tensor: TorchTensor, raw: bytes) -> NDArray[Any]:
        size = _item_size(tensor.kind)
        dtype = np.dtype(self._order + ("u2" if tensor.kind == "bf2" else tensor.kind))
        if (tensor.offset + tensor.extent) * size > len(raw):
            raise self._damaged(f"{printable(name)[:_MOST_SHOWN]} lies outside of its storage")
        if 0 in tensor.shape:
            values: NDArray[Any] = np.zeros(tensor.shape, dtype)
        else:
            strides = [stride * size for stride in tensor.strides]
            values = np.ndarray(tensor.shape, dtype, raw, tensor.offset * size, strides)
        if tensor.kind == "bf2":
            return (values.astype("<u4") << 16).view("<f4")
        return values.astype(dtype.newbyteorder("="), order="C")

    def _checked_entries(self) -> dict[str, zipfile.ZipInfo]:
        entries = self._zip.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise self._damaged(f"it has more than {_MOST_ENTRIES} entries")
        ((name, times),) = Counter(entry.filename for entry in entries).most_common(1) or [("", 0)]
        if times > 1:
            raise self._damaged(f"{shortened(name)} is in it twice")
        return {entry.filename: entry for entry in entries}

    def _found_root(self) -> str:
        roots = [found[1] for name in self._entries if (found := _PICKLE.fullmatch(name))]
        if len(roots) != 1:
            raise CheckpointError(
                "is a zip, but no checkpoint of PyTorch's (it has no data.pkl of its own)",
                path=self._path,
                hint=_SAVE_STATE,
            )
        (root,) = roots
        if f"{root}/constants.pkl" in self._entries:
            raise CheckpointError("is a program (TorchScript), not a checkpoint", path=self._path, hint=_SAVE_STATE)
        return root

    def _byte_order(self) -> str:
        name = f"{self._root}/byteorder"
        order = self._bytes_of(name) if name in self._entries else b"little"
        if order not in (b"little", b"big"):
            raise self._damaged("its order of bytes is neither little nor big")
        return "<" if order == b"little" else ">"

    def _unpickled(self) -> Any:
        name = f"{self._root}/data.pkl"
        if self._entries[name].file_size > _MOST_PICKLE_BYTES:
            raise self._damaged(f"its pickle is larger than {_MOST_PICKLE_BYTES >> 20} MiB")
        try:
            return read_pickle(self._bytes_of(name))
        except ForeignGlobal as error:
            raise CheckpointError(
                f"its pickle asks for {printable(error)[:_MOST_SHOWN]}, which is neither tensor nor container, and is "
                "not loaded",
                path=self._path,
                hint=_SAVE_STATE,
            ) from error
        except BadPickle as error:
            raise self._damaged(f"its pickle has {error}" if str(error) != "damaged" else "its pickle") from error

    def _bytes_of(self, name: str) -> bytes:
        """The content of an entry, whose checksum is right."""
        entry = self._entries.get(name)
        if entry is None:
            raise self._damaged(f"{shortened(name)} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise self._damaged(f"{shortened(name)} is compressed, as PyTorch never does")
        if not 0 <= entry.header_offset <= entry.header_offset + entry.file_size <= self._size:
            raise self._damaged(f"{shortened(name)} is larger than the file")
        try:
            return self._zip.read(entry)
        except (*_NONSENSE, OSError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> CheckpointError:
        return CheckpointError(
            f"damaged checkpoint: {printable(why)[:200]}", path=self._path, hint="Fetch it again, or save it anew."
        )

    def _other_format(self, start: bytes) -> CheckpointError:
        if start.startswith(b"\x80") or start[_TAR] == b"ustar":
            return CheckpointError(
                "is in the format of PyTorch before 1.6",
                path=self._path,
                hint="Save it anew, with PyTorch: torch.save(torch.load(FILE, weights_only=True), NEW_FILE).",
            )
        return CheckpointError("is no checkpoint of PyTorch's", path=self._path, hint=_SAVE_STATE)


def _item_size(kind: str) -> int:
    return int(kind[-1])
