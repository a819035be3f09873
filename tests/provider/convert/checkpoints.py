"""Files as PyTorch writes them, made without it: any pickle, any storages."""

import pickle
import struct
import zipfile

import numpy as np

STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
STORAGE_OF = {np.dtype(dtype): name for name, dtype in STORAGES.items()}


def text(value):
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def tensor(key, kind, offset, shape, steps, *, numel=1, metadata=b""):
    """The instructions that rebuild a tensor: ``offset`` and ``steps`` in elements; ``metadata`` are instructions."""
    storage = b"(" + text("storage") + named("torch", kind) + text(key) + text("cpu") + number(numel) + b"tQ"
    hooks = b"\x89" + named("collections", "OrderedDict") + b")R"
    where = number(offset) + numbers(shape) + numbers(steps)
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + where + hooks + metadata + b"tR"


def ordered(items):
    """The instructions for an ordered dict of texts and the instructions of their values."""
    pairs = b"".join(text(name) + value for name, value in items.items())
    return named("collections", "OrderedDict") + b")R(" + pairs + b"u"


def whole(instructions, protocol=2):
    return b"\x80" + bytes([protocol]) + instructions + b"."


def write(path, content, storages=(), *, root="archive", compression=zipfile.ZIP_STORED, entries=()):
    """A checkpoint's zip of a pickle and of its storages, raw bytes or arrays."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", content)
        archive.writestr(f"{root}/version", b"3\n")
        for key, values in enumerate(storages):
            archive.writestr(f"{root}/data/{key}", values if isinstance(values, bytes) else values.tobytes())
        for name, value in entries:
            archive.writestr(name, value)
    return path


def stored(path, arrays, **keys):
    """A state dict of arrays, each in a storage of its own."""
    items = {}
    for key, (name, values) in enumerate(arrays.items()):
        steps = [step // values.itemsize for step in values.strides]
        items[name] = tensor(str(key), STORAGE_OF[values.dtype], 0, values.shape, steps, numel=values.size)
    return write(path, whole(ordered(items)), [np.ascontiguousarray(values) for values in arrays.values()], **keys)
