"""From what ``-p`` takes (name, JSON, tarball, run folder) to a validated config, or one clear line."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sepcore.archive_reader import read_member
from sepcore.config import ModelConfig, config_folder
from sepcore.errors import ConfigError
from sepcore.foreign import ForeignTextError, check_texts, parse_json, read_bounded
from sepcore.printable import printable

_ARCHIVES = (".tar.gz", ".tgz")
# Nobody reads more than that at once; a file that is no config may have thousands of mistakes, and keys of any length.
_MOST_LINES, _MOST_OF_A_LINE, _MOST_OF_A_KEY = 20, 1000, 60


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
        ConfigError: one line that names the key, the value and the cure; or what descriptors there are.
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
                raise ConfigError(f"{origin}: {key}: {part} is {json.dumps(inner)} and has no keys of its own.")
            place = inner
        place[last] = value
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
    except (OSError, UnicodeDecodeError, ForeignTextError) as error:
        raise ConfigError(f"{path}: cannot be read as a config ({error}); give a JSON file.") from error
    if path.is_dir():
        names = ", ".join(_shipped_names())
        raise ConfigError(f"{path}: this folder has no config.json; give a run folder, a JSON file or one of {names}.")
    raise unknown_model(descriptor)


def _text(path: Path) -> str:
    return read_bounded(path).decode("utf-8")


def _shipped_names() -> list[str]:
    return sorted(file.stem for file in config_folder().glob("*.json"))


def unknown_model(descriptor: str | Path) -> ConfigError:
    """The error that says which models there are, and which one was probably meant."""
    near = difflib.get_close_matches(Path(descriptor).name.removesuffix(".json"), _shipped_names(), n=1, cutoff=0.9)
    meant = f"did you mean {near[0]}? Or " if near else ""
    return ConfigError(
        f"{descriptor}: no such model or file; {meant}give one of {', '.join(_shipped_names())}, "
        "a JSON file, a release tarball or a run folder."
    )


def _text_in_archive(path: Path) -> str:
    try:
        text = read_member(path, "config.json")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a readable tarball ({error}); download or build it again.") from error
    if text is None:
        raise ConfigError(f"{path}: has no config.json; a release tarball made by this project has one. Use -p NAME.")
    return text


def parse_config(text: str, origin: str) -> ModelConfig:
    """Validate the text of a config; ``origin`` is the name to put in front of messages."""
    try:
        content = parse_json(text, any_text=True)
    except ForeignTextError as error:
        raise ConfigError(f"{origin}: {error}.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{origin}: holds a {type(content).__name__}; a config is an object of keys: {{...}}.")
    try:
        config = ModelConfig.model_validate_json(json.dumps(content))
        check_texts(content)  # behind the keys' own checks, which say more
    except ForeignTextError as error:
        raise ConfigError(f"{origin}: {error}.") from error
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [printable(_one_line(detail, ModelConfig)[:_MOST_OF_A_LINE]) for detail in details[:_MOST_LINES]]
        lines += [f"and {len(details) - _MOST_LINES} more."] if len(details) > _MOST_LINES else []
        raise ConfigError("\n".join(f"{origin}: {line}" for line in lines)) from error
    return config


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _one_line(detail: Any, model: type[BaseModel]) -> str:
    """One of pydantic's errors as a line of ours: key, value, cure."""
    location = [str(part)[:_MOST_OF_A_KEY] for part in detail["loc"]]
    key, value = ".".join(location), detail.get("input")
    if detail["type"] == "extra_forbidden":
        known = _keys(model)
        if location[0] == "model":
            # pydantic names the nested class' key; its siblings are in the error's own input, not at hand here.
            from sepcore.config_network import NETWORK_PARAMS, NetworkConfig

            known = _keys(NetworkConfig) + [name for params in NETWORK_PARAMS.values() for name in _keys(params)]
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}."
        return f"{key} is not a known key; {hint}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "json_invalid":  # of what json.loads takes, half a character only
        return f"not valid JSON: {message[0].lower()}{message[1:]}."
    if detail["type"] == "value_error":
        return f"{key}: {message}" if key else message
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) < 60 else shown[:57] + "..."
    return f"{key} is {shown}; {message[0].lower()}{message[1:]}."
