"""The pickle of a PyTorch checkpoint, read without running anything of it.

A pickle is a program. Python's own unpickler can be told which classes it may look up, but keeps more than is wanted
here: a memo whose size a number in the file decides, `BUILD` and `NEWOBJ` on what it has found, texts and numbers of
any form. So the few instructions that `torch.save` writes are carried out here, as PyTorch's own ``weights_only`` does
it. No name is ever looked up: the known ones are keys of a table, any other one ends the reading. The instructions
themselves are taken apart by `pickletools`, which runs nothing.
"""

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MOST_OPERATIONS = 500_000  # a checkpoint with optimizer and four averages of an SCNet has some 60 000
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 1 << 48  # NumPy counts bytes in 63 bits
_STORED = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}


class BadPickle(Exception):
    """The pickle is damaged, or holds something else than tensors and containers; says what, in one line."""


class ForeignGlobal(BadPickle):
    """The pickle asks for a class or function that is neither tensor nor container."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """Where a tensor's values are: in which storage of the file, of which type, from where, in what steps.

    ``kind`` is NumPy's name of the type, or ``bf2`` for bfloat16; ``offset`` and ``strides`` are in elements.
    """

    key: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Elements of the storage from ``offset`` to the last one that the tensor has."""
        if 0 in self.shape:
            return 0
        return 1 + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))


class _Mark:
    pass


@dataclass(frozen=True, slots=True)
class _Known:
    """A class or function that may be called: by its name here, never looked up."""

    call: Callable[[tuple[Any, ...]], Any]


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise BadPickle("an OrderedDict that is made of something")
    return {}


def _size(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    (sides,) = arguments
    if not isinstance(sides, tuple) or len(sides) > _MOST_DIMENSIONS:
        raise BadPickle("a size that no tensor has")
    return sides


def _parameter(arguments: tuple[Any, ...]) -> TorchTensor:
    if not arguments or not isinstance(arguments[0], TorchTensor):
        raise BadPickle("a parameter that is no tensor")
    return arguments[0]


def _tensor(arguments: tuple[Any, ...]) -> TorchTensor:
    storage, offset, shape, strides, _, _, *metadata = arguments  # between them: a gradient's need, hooks
    if any(metadata):  # of PyTorch's own, such as that the values are to be taken with the other sign (neg)
        raise BadPickle("a tensor whose values mean something else than they are (metadata)")
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise BadPickle("a tensor without a storage or a shape")
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        raise BadPickle("a tensor of a shape that none can have")
    numbers = (offset, *shape, *strides)
    if any(type(number) is not int or not 0 <= number < _MOST_ELEMENTS for number in numbers):
        raise BadPickle("a tensor with a size, an offset or a step that none can have")
    return TorchTensor(storage.key, storage.kind, offset, shape, strides)


_STORAGES = {f"torch {name}": kind for name, kind in _STORED.items()}
_KNOWN = {
    "collections OrderedDict": _Known(_ordered_dict),
    "torch Size": _Known(_size),
    "torch._utils _rebuild_tensor_v2": _Known(_tensor),
    "torch._utils _rebuild_parameter": _Known(_parameter),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS = (str, int, float, type(None))


def read_pickle(content: bytes) -> Any:
    """What a checkpoint's pickle holds: dicts, lists, tuples, texts, numbers, None, and `TorchTensor` for tensors.

    Parameters come as tensors, ordered dicts as dicts; attributes that they have are left out.

    Raises:
        ForeignGlobal: it asks for any other class or function; none is looked up.
        BadPickle: it is damaged, uses other instructions, or is longer than any checkpoint's.
    """
    try:
        # Old instructions hold texts with escapes, about which Python may warn; they are refused anyway.
        with warnings.catch_warnings(action="ignore"):
            return _run(content)
    except (ValueError, LookupError, TypeError, OverflowError) as error:  # of pickletools, or an empty stack
        raise BadPickle("damaged") from error


def _run(content: bytes) -> Any:
    machine = _Machine()
    for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if number >= _MOST_OPERATIONS:
            raise BadPickle(f"more than {_MOST_OPERATIONS} instructions")
        if operation.name == "STOP":
            return machine.result()
        machine.do(operation.name, argument)
    raise BadPickle("damaged")


class _Machine:
    """Python's pickle machine with the instructions that tensors and containers need."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """The value that is left at the end."""
        (value,) = self._stack
        if isinstance(value, _Mark | _Storage | _Known | str):
            raise BadPickle("no container of tensors")
        return value

    def do(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _VALUES:
            stack.append(argument)
        elif name in _TUPLES:
            last_first = [self._pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(last_first[::-1]))
        elif name == "TUPLE":
            stack.append(tuple(self._pop_to_mark()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in ("APPEND", "APPENDS"):
            values = self._pop_to_mark() if name == "APPENDS" else [self._pop()]
            self._top(list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            self._set(self._pop_to_mark() if name == "SETITEMS" else [self._pop(), self._pop()][::-1])
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name == "STACK_GLOBAL":
            last, first = self._pop(), self._pop()
            stack.append(_known(f"{first} {last}" if isinstance(first, str) and isinstance(last, str) else "?"))
        elif name == "BINPERSID":
            stack.append(_storage(self._pop()))
        elif name == "REDUCE":
            self._call()
        elif name == "BUILD":
            self._pop()  # attributes of an ordered dict, such as PyTorch's _metadata
            self._top(dict)
        elif name not in ("PROTO", "FRAME"):
            raise BadPickle(f"an instruction ({name}) that tensors do not need")

    def _pop(self) -> Any:
        if isinstance(self._stack[-1], _Mark):
            raise BadPickle("damaged")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while not isinstance(self._stack[place], _Mark):
            place -= 1
            if place < 0:
                raise BadPickle("damaged")
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _top(self, kind: type[Any]) -> Any:
        if type(self._stack[-1]) is not kind:
            raise BadPickle("damaged")
        return self._stack[-1]

    def _set(self, values: list[Any]) -> None:
        target = self._top(dict)
        if any(not isinstance(key, _KEYS) for key in values[::2]):
            raise BadPickle("a key that is neither text nor number")
        target.update(zip(values[::2], values[1::2], strict=True))

    def _call(self) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Known) or not isinstance(arguments, tuple):
            raise BadPickle("damaged")
        self._stack.append(called.call(arguments))


def _known(name: str) -> Any:
    if name in _STORAGES:
        return _STORAGES[name]
    if name not in _KNOWN:
        raise ForeignGlobal(name.replace(" ", "."))
    return _KNOWN[name]


def _storage(value: Any) -> _Storage:
    mark, kind, key, *_ = value
    if mark != "storage" or kind not in _STORED.values() or not isinstance(key, str):
        raise BadPickle("a reference to something that is no storage")
    return _Storage(key, kind)
