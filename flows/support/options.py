"""The options of a command or a flow: one class of fields makes the command line and Prefect's form."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from cyclopts import Parameter
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sepcore.config.load import OVERRIDES, changed_config, load_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import ConfigError
from sepcore.provider.host import parse_version

_NOT_WHOLE = "int_parsing", "int_from_float", "int_type"
_NO_NUMBER = "float_parsing", "float_type", "finite_number"


@dataclass(frozen=True)
class Positional:
    """Mark of a field that the command line takes without a flag; ``metavar`` is its name in the help."""

    metavar: str


class Options(BaseModel):
    """The options of one command, in the order of its help; the fields' docstrings are the help.

    A field's flag is ``--its-name``, unless a ``Parameter`` names others. Limits, choices and defaults hold on the
    command line and in Prefect's form alike. A validator's ValueError is shown to the user: its text names the problem
    and then says what to do, as in ``--fresh and --force exclude each other. Leave one of them out.``
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    needs: ClassVar[tuple[str, ...]] = ()
    """Extras of pyproject.toml without which the command cannot do its work; by default the base is enough."""

    def set_environment(self, verbose: bool) -> None:
        """Set variables of the environment that libraries read when they are imported; by default none."""

    def extras(self) -> tuple[str, ...]:
        """The extras that the command needs with these options."""
        return self.needs

    def start_early(self) -> None:
        """Start what may run in a thread while the command's modules are imported; by default nothing."""

    def check(self) -> None:
        """Refuse with a StemworksError what can be refused before slow imports; by default nothing."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Options from values by field, which may be texts; ConfigError for the first fault."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _first_fault(error, cls) from error

    def parameters(self) -> dict[str, Any]:
        """The fields as a flow takes them."""
        return dict(self)


def positional(field: FieldInfo) -> Positional | None:
    """A field's mark that it needs no flag, if it has it."""
    return next((mark for mark in field.metadata if isinstance(mark, Positional)), None)


def flags(name: str, field: FieldInfo) -> tuple[str, ...]:
    """The flags of a field, the shortest first; for a positional field its name in the help."""
    if mark := positional(field):
        return (mark.metavar,)
    named = next((mark.name for mark in field.metadata if isinstance(mark, Parameter) and mark.name), ())
    return tuple(sorted(named, key=len)) or (f"--{name.replace('_', '-')}",)


def choices(annotation: Any) -> tuple[str, ...]:
    """The values that a field of named choices allows; empty for others."""
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    return tuple(choice for part in get_args(annotation) for choice in choices(part))


def is_of(kind: Any, *types: type) -> bool:
    """Whether an annotation is one of some types, or a union with one of them."""
    if get_origin(kind) is Literal:
        return any(type(choice) in types for choice in get_args(kind))
    return kind in types or get_origin(kind) in types or any(is_of(part, *types) for part in get_args(kind))


def nearest(given: str, known: Sequence[str]) -> str:
    """``Did you mean …?``, or nothing if nothing known is similar."""
    near = [one for one in known if one.startswith(given)] or difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""


def one_line(text: str | None) -> str:
    """A docstring's text without its line breaks."""
    return " ".join((text or "").split())


def _first_fault(error: ValidationError, options: type[Options]) -> ConfigError:
    """The first of pydantic's errors as one of ours: the option, the value, what is allowed."""
    details = error.errors(include_url=False)
    missing = [str(one["loc"][0]) for one in details if one["type"] == "missing"]
    if len(missing) > 1:
        names = ["/".join(flags(name, options.model_fields[name])) for name in missing]
        return ConfigError(f"{', '.join(names)} are missing")
    detail = details[0]
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return ConfigError(message)
    name = str(detail["loc"][0])
    if name not in options.model_fields:
        return ConfigError(f"{name}: no such option", hint=nearest(name, list(options.model_fields)))
    field = options.model_fields[name]
    if detail["type"] == "missing":
        return ConfigError(f"{'/'.join(flags(name, field))} is missing", hint=one_line(field.description))
    flag, value = max(flags(name, field), key=len), detail.get("input")
    if detail["type"] == "value_error":
        return ConfigError(f"{flag}: {message}")
    if allowed := choices(field.annotation):
        hint = f"Give one of {', '.join(allowed)}. {nearest(str(value), allowed)}".strip()
    elif detail["type"] in _NOT_WHOLE:
        hint = "Give a whole number."
    elif detail["type"] in _NO_NUMBER:
        hint = "Give a number."
    else:
        limits = _limits(options.model_json_schema()["properties"][name])
        hint = f"Give {limits}." if limits else f"{message}."
    return ConfigError(f"{flag} is {value}", hint=hint)


def _limits(schema: Mapping[str, Any]) -> str:
    """The range of a number in words, from its JSON schema; that of an optional one is among its alternatives."""
    parts = schema, *schema.get("anyOf", ())
    limits = {key: value for part in parts for key, value in part.items()}
    low, above = limits.get("minimum"), limits.get("exclusiveMinimum")
    high, below = limits.get("maximum"), limits.get("exclusiveMaximum")
    if above is not None and any(part.get("type") == "integer" for part in parts):
        low, above = above + 1, None
    start = f"{low}" if low is not None else f"more than {above}" if above is not None else ""
    end = f" to {high}" if high is not None else f" to less than {below}" if below is not None else ""
    return f"{start}{end}" if end else f"at least {start}" if low is not None else start


def _is_version(text: str) -> str:
    if parse_version(text) is None:
        raise ValueError(f"{text} is not a semantic version such as 1.2.0 or 1.2.0-rc.1")
    return text


def names(given: Any) -> Any:
    """Names as ``a,b`` or one by one, each once; for a field's ``BeforeValidator``."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return given
    return tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))


COMMAS = "names with commas between them, in one word"
"""Mark of a field with `names`: given twice, the last word counts."""

Flag = bool
"""A field that is true if its flag is given."""

_MODEL = Field(
    description="A name (2stems, 4stems, 5stems, …-16kHz, musdb, quickstart, synthmus-plus), a JSON file, a release "
    "tarball, a run folder."
)
Model = Annotated[str, Parameter(name=("-p", "--params_filename")), _MODEL]
SomeModel = Annotated[str | None, Parameter(name=("-p", "--params_filename")), _MODEL]
DataDir = Annotated[
    Path | None,
    Parameter(name=("-d", "--data")),
    Field(description="Folder of the CSVs' relative paths (default: each CSV's own)."),
]
WorkDir = Annotated[Path, Field(description="Folder of the runs.")]
Releases = Annotated[Path, Field(description="Folder of the releases.")]
# The pattern, which Prefect's server knows, lets a little more through than the run then does.
_VERSION = {"pattern": r"^\d+\.\d+\.\d+([-+].+)?$", "examples": ["1.0.0"]}
Version = Annotated[str, Field(json_schema_extra=_VERSION), AfterValidator(_is_version)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _overrides(given: Any) -> Any:
    """``KEY=VALUE`` of a command line as values by key; a mapping stays."""
    if not isinstance(given, list):
        return given
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = str(text).partition("=")
        if not (key and equals):
            raise ValueError(f"{text} is not KEY=VALUE, such as learning_rate=0.001")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


class WithOverrides(Options):
    """The options of a command that can be told other values for keys of a model's config."""

    overrides: Annotated[dict[str, Any] | None, Parameter(name="--set"), BeforeValidator(_overrides)] = None
    """A key of the config with another value: KEY=VALUE, once or more often; a JSON object in a deployment's form.
    Dots lead into objects: augmentation.gain_db=3."""

    def changed(self, config: ModelConfig) -> ModelConfig:
        """A config with these values; ConfigError if it cannot be used then."""
        return changed_config(config, self.overrides or {}, OVERRIDES)


class OfConfig(WithOverrides):
    """The options of a command that works by a model's config."""

    params: Model

    def config(self) -> ModelConfig:
        """The model's config with the values of ``--set``; ConfigError if it cannot be used."""
        return self.changed(load_config(self.params))
