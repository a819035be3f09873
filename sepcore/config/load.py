"""From what ``-p`` takes (name, JSON, tarball, run folder) to a validated config, or one clear line."""

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from sepcore.config.model_config import ModelConfig, config_folder
from sepcore.errors import ConfigError
from sepcore.system.archive_reader import read_member
from sepcore.system.foreign import ForeignTextError, check_texts, parse_json, read_bounded
from sepcore.system.os_errors import fix_for, reason_of
from sepcore.system.printable import printable

_ARCHIVES = (".tar.gz", ".tgz")
# Nobody reads more than that at once; a file that is no config may have thousands of mistakes, and keys of any length.
_MOST_FAULTS, _MOST_OF_A_LINE, _MOST_OF_A_KEY = 20, 1000, 60


class WrongKeys(ConfigError):
    """Several keys of a config are wrong; shown with a line for each.

    Attributes:
        faults: One for each key.
    """

    faults: tuple[ConfigError, ...] = ()

    @classmethod
    def of(cls, faults: Sequence[ConfigError]) -> Self:
        """One error of several of the same config."""
        error = cls("\n".join(fault.problem for fault in faults), path=faults[0].path)
        error.faults = tuple(faults)
        return error

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


OVERRIDES = "overrides (--set)"
"""What a message calls values that were given beside a config."""


def is_archive(path: Path) -> bool:
    """Whether a path's name is that of a release tarball."""
    return path.name.endswith(_ARCHIVES)


def model_name(descriptor: str | Path) -> str:
    """The name by which a model is known: of a JSON or tarball its file name's stem, else the name or folder itself."""
    text = str(descriptor).removeprefix("spleeter:")
    name = Path(text).name
    for suffix in (*_ARCHIVES, ".json"):
        name = name.removesuffix(suffix)
    return Path(text).resolve().parent.name if name == "config" else name


def load_config(descriptor: str | Path) -> ModelConfig:
    """Load and validate the config of a model.

    Args:
        descriptor: A shipped name (``4stems``, ``spleeter:4stems``), a JSON file, a release tarball, or a folder with
            a ``config.json`` in it (a run, an unpacked release).

    Raises:
        ConfigError: names the key, its value and what is allowed, with a line for each key; or says what descriptors
            there are.
    """
    text, origin = read_config_text(descriptor)
    return parse_config(text, origin)


def changed_config(config: ModelConfig, keys: Mapping[str, Any], origin: str) -> ModelConfig:
    """A config with some keys changed.

    Args:
        config: What it is without them.
        keys: Values by key of the JSON; a key of an object within is dotted: ``augmentation.gain_db``.
        origin: The name to put in front of messages.

    Raises:
        ConfigError: as `load_config`.
    """
    content = json.loads(config.model_dump_json(by_alias=True, exclude_unset=True))
    for key, value in keys.items():
        *outer, last = key.split(".")
        place = content
        for part in outer:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{key}: {part} is {json.dumps(inner)} and has no keys of its own", path=origin)
            place = inner
        place[last] = copy.deepcopy(value)  # a dotted key may lead into it
    return parse_config(json.dumps(content), origin) if keys else config


def read_config_text(descriptor: str | Path) -> tuple[str, str]:
    """The JSON text a descriptor leads to, and the name to call it by in messages."""
    path = Path(descriptor)
    shipped = config_folder() / f"{str(descriptor).removeprefix('spleeter:')}.json"
    try:
        if path.is_dir() and (path / "config.json").is_file():
            return _text(path / "config.json"), f"{path.name}/config.json"
        if path.is_file():
            return (_text_in_archive(path), path.name) if is_archive(path) else (_text(path), path.name)
        if shipped.parent == config_folder() and shipped.is_file():
            return _text(shipped), shipped.name
    except OSError as error:
        raise ConfigError(
            f"cannot be read as a config ({reason_of(error)})",
            path=path,
            errno=error.errno,
            hint=f"{fix_for(error, reading=True)}, or give another JSON file.",
        ) from error
    except (UnicodeDecodeError, ForeignTextError) as error:
        raise ConfigError(f"cannot be read as a config ({error})", path=path, hint="Give a JSON file.") from error
    if path.is_dir():
        names = ", ".join(_shipped_names())
        raise ConfigError(
            "this folder has no config.json", path=path, hint=f"Give a run folder, a JSON file or one of {names}."
        )
    raise unknown_model(descriptor)


def _text(path: Path) -> str:
    return read_bounded(path).decode("utf-8")


def _shipped_names() -> list[str]:
    return sorted(file.stem for file in config_folder().glob("*.json"))


def unknown_model(descriptor: str | Path) -> ConfigError:
    """The error that says which models there are, and which one was probably meant."""
    near = difflib.get_close_matches(Path(descriptor).name.removesuffix(".json"), _shipped_names(), n=1, cutoff=0.9)
    meant = f"Did you mean {near[0]}? Otherwise give" if near else "Give"
    return ConfigError(
        "no such model or file",
        path=descriptor,
        hint=f"{meant} one of {', '.join(_shipped_names())}, a JSON file, a release tarball or a run folder.",
    )


def _text_in_archive(path: Path) -> str:
    try:
        text = read_member(path, "config.json")
    except OSError as error:
        raise ConfigError(
            f"not a readable tarball ({reason_of(error)})",
            path=path,
            errno=error.errno,
            hint=f"{fix_for(error, reading=True)}, or download or build it again.",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"not a readable tarball ({error})", path=path, hint="Download or build it again.") from error
    if text is None:
        raise ConfigError(
            "has no config.json", path=path, hint="A release tarball made by this project has one. Use -p NAME."
        )
    return text


def parse_config(text: str, origin: str) -> ModelConfig:
    """Validate the text of a config; ``origin`` is the name to put in front of messages."""
    try:
        content = parse_json(text, any_text=True)
    except ForeignTextError as error:
        raise ConfigError(error.problem, path=origin) from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"holds a {type(content).__name__}", path=origin, hint="A config is an object of keys: {...}."
        )
    try:
        config = ModelConfig.model_validate_json(json.dumps(content))
        check_texts(content)  # behind the keys' own checks, which say more
    except ForeignTextError as error:
        raise ConfigError(error.problem, path=origin) from error
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults = [_fault(detail, origin) for detail in details[:_MOST_FAULTS]]
        if len(details) > _MOST_FAULTS:
            faults.append(ConfigError(f"{len(details) - _MOST_FAULTS} more keys are wrong", path=origin))
        raise (WrongKeys.of(faults) if len(faults) > 1 else faults[0]) from error
    return config


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _fault(detail: Any, origin: str) -> ConfigError:
    """One of pydantic's errors as one of ours: key, value, what is allowed, how to fix it."""
    problem, hint = (printable(text[:_MOST_OF_A_LINE]) for text in _worded(detail))
    return ConfigError(problem, hint=hint, path=origin)


def _worded(detail: Any) -> tuple[str, str]:
    """Problem and hint."""
    location = [str(part)[:_MOST_OF_A_KEY] for part in detail["loc"]]
    key = ".".join(location)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location)
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(sorted(known))}."
        return f"{key} is not a known key", hint
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "json_invalid":  # of what json.loads takes, half a character only
        return f"not valid JSON: {message[0].lower()}{message[1:]}", ""
    if detail["type"] == "value_error":
        # One of our validators': its first sentence says what is wrong, the others what to do.
        problem, _, hint = message.partition(". ")
        problem = problem if hint else problem.removesuffix(".")
        return f"{key}: {problem}" if key else problem, hint
    shown = json.dumps(detail.get("input"), ensure_ascii=False, default=str)
    shown = shown if len(shown) < 60 else shown[:57] + "..."
    return f"{key} is {shown}; {message[0].lower()}{message[1:]}", ""


def _known_keys(location: list[str]) -> list[str]:
    """The keys that there are where an unknown one was found."""
    if location[0] != "model":
        return _keys(ModelConfig)
    # pydantic names the nested class' key; its siblings are in the error's own input, not at hand here.
    from sepcore.config.network import NETWORK_PARAMS, NetworkConfig

    return _keys(NetworkConfig) + [name for params in NETWORK_PARAMS.values() for name in _keys(params)]
