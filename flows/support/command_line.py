"""``python -m flows.<name>``, and ``stemworks <name>``: from an `Options` class to the command line, and its run."""

import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import MissingArgumentError, UnknownOptionError, UnusedCliTokensError
from cyclopts.help import DefaultFormatter, PanelSpec, TableSpec
from pydantic.fields import FieldInfo
from rich import box

from flows.support.command import guarded, run_command, set_up_process
from flows.support.options import COMMAS, Options, Positional, WithOverrides, choices, flags, is_of, nearest
from sepcore.errors import ConfigError
from sepcore.system.printable import printable
from sepcore.system.urls import MOUNT_HINT, NO_PATH, is_url

Given = TypeVar("Given", bound=Options)

_WRONG = 2
# Without boxes, which make copies of the text hard to read.
_HELP = DefaultFormatter(
    panel_spec=PanelSpec(box=box.SIMPLE_HEAD, padding=(0, 0)), table_spec=TableSpec(padding=(0, 2, 0, 0))
)
_VERBOSE = "Log what is done, Prefect's and TensorFlow's lines too."


def run(options: type[Options], module: str) -> NoReturn:
    """The process of a command: its arguments, its checks, and then ``main`` of a module with slow imports.

    Args:
        options: What the command can be told.
        module: Name of the module, whose ``main`` takes the options and returns an exit code, or None.
    """
    given, verbose = _parsed(options, sys.argv[1:])
    given.set_environment(verbose)
    set_up_process(verbose)
    if code := guarded(given.check):
        sys.exit(code)
    run_command(
        lambda: _with_prefect(given, module) if given.uses_prefect else importlib.import_module(module).main(given)
    )


def _with_prefect(given: Options, module: str) -> int | None:
    """The work of a flow's command; Prefect's server, if one is needed, starts while the flow is imported."""
    from flows.support.prefect_server import start_prefect, with_prefect

    start_prefect()
    main = importlib.import_module(module).main
    result: int | None = with_prefect(lambda: main(given))
    return result


def command_app(options: type[Options], name: str) -> App:
    """The command line of a command, whose default function gives the texts that were given, by field."""

    def collect(*given: Any, **named: Any) -> dict[str, Any]:
        return signature.bind(*given, **named).arguments

    # What any key of a config can be comes after what the command's own options say.
    fields = sorted(options.model_fields.items(), key=lambda field: field[0] in WithOverrides.model_fields)
    signature = inspect.Signature(
        [
            *(_parameter(key, field) for key, field in fields if _is_positional(field)),
            *(_parameter(key, field) for key, field in fields if not _is_positional(field)),
            inspect.Parameter(
                "verbose",
                inspect.Parameter.KEYWORD_ONLY,
                default=False,
                annotation=Annotated[bool, Parameter(negative=(), help=_VERBOSE, show_default=False)],
            ),
        ]
    )
    collect.__signature__ = signature  # type: ignore[attr-defined]
    app = App(
        name=name,
        help=_paragraphs(options.__doc__ or ""),
        help_flags=("--help", "-h"),
        version_flags=(),
        help_formatter=_HELP,
        help_format="plaintext",
    )
    app.default(collect)
    app["--help"].group = "Parameters"
    return app


def _paragraphs(text: str) -> str:
    """A docstring whose lines break where the terminal's do."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


def _parsed(options: type[Given], arguments: Sequence[str]) -> tuple[Given, bool]:
    """The options that were given, and ``--verbose``; the end of the process for ``--help`` and for mistakes."""
    name = _program(options)
    app = command_app(options, name)
    try:
        command, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
        if command.__name__ != "collect":  # its own, of --help
            command(*bound.args, **bound.kwargs)
            sys.exit()
        texts = command(*bound.args, **bound.kwargs)
        verbose = texts.pop("verbose", False)
        given = options.of(texts)
        _refuse_urls(given)
    except CycloptsError as error:
        refused = _refused(error, options)
    except ConfigError as error:
        refused = error
    else:
        return given, verbose
    sys.stderr.write(f"{name}: {printable(refused)} (--help lists the options)\n")
    sys.exit(_WRONG)


def _program(options: type[Options]) -> str:
    """How the command was called."""
    called = sys.argv[0]
    return called if called.startswith("stemworks ") else f"python -m flows.{options.__module__.split('.')[1]}"


def _is_positional(field: FieldInfo) -> bool:
    return any(isinstance(mark, Positional) for mark in field.metadata)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """A field as a parameter of the function that cyclopts calls; its values stay texts, for pydantic to read."""
    positional = next((mark for mark in field.metadata if isinstance(mark, Positional)), None)
    allowed = choices(field.annotation)
    about = Parameter(
        name=positional.metavar if positional else None,
        help=_help(field, allowed),
        show_default=_default(field) is not None,
        metavar=None if positional else _metavar(field.annotation, allowed),
        negative=(),
        json_list=False,
        json_dict=False,
        allow_repeating=True,  # the last one counts, as of a script that adds to what it was given
        allow_leading_hyphen=is_of(field.annotation, int, float),
    )
    marks = [about, *(mark for mark in field.metadata if isinstance(mark, Parameter))]
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_ONLY if positional else inspect.Parameter.KEYWORD_ONLY,
        default=_default(field),  # what must be given is looked for once all words are known to be options
        annotation=Annotated[(_text_type(field), *marks)],
    )


def _text_type(field: FieldInfo) -> Any:
    kind = field.annotation
    if is_of(kind, list, tuple, dict) and COMMAS not in field.metadata:
        return list[str] | None
    return bool | None if is_of(kind, bool) else str | None


def _metavar(kind: Any, allowed: Sequence[str]) -> str | None:
    if is_of(kind, bool):
        return None
    if allowed and not is_of(kind, int, float):
        return "CHOICE"
    kinds = {Path: "PATH", int: "N", float: "X"}
    return next((text for of, text in kinds.items() if is_of(kind, of)), "TEXT")


def _help(field: FieldInfo, allowed: Sequence[str]) -> str:
    text = " ".join((field.description or "").split())
    text += f" [{', '.join(allowed)}]" if len(allowed) > 1 else ""
    return f"{text} [required]" if field.is_required() else text


def _default(field: FieldInfo) -> str | None:
    """The default that the help tells, as a text; None where there is none or the description says it."""
    is_nothing = field.default is None or field.default is False or field.default == ()  # 0.0 is a default
    told = field.is_required() or is_nothing or "default" in (field.description or "")
    return None if told else str(field.default)


def _refuse_urls(given: Options) -> None:
    for value in given.parameters().values():
        for path in value if isinstance(value, list | tuple) else [value]:
            if isinstance(path, Path) and is_url(str(path)):
                raise ConfigError(f"{str(path).replace(':/', '://', 1)} {NO_PATH}", hint=MOUNT_HINT)


def _refused(error: CycloptsError, options: type[Options]) -> ConfigError:
    """What is wrong with a command line."""
    fields = options.model_fields
    known = ["--help", "--verbose", *(flag for name, field in fields.items() for flag in flags(name, field))]
    if isinstance(error, UnknownOptionError):
        flag = error.token.keyword or error.token.value
        return ConfigError(f"{flag}: no such option", hint=nearest(flag, known))
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return ConfigError(f"{error.keyword or error.argument.field_info.name}: needs a value")
    if isinstance(error, UnusedCliTokensError):
        return ConfigError(f"{error.unused_tokens[0] if error.unused_tokens else ''}: not expected")
    return ConfigError(" ".join(str(error).split()))
