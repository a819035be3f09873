"""``python -m flows.<name>``, and ``stemworks <name>``: from an `Options` class to the command line, and its run."""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import MissingArgumentError, UnknownOptionError, UnusedCliTokensError
from cyclopts.help import DefaultFormatter, PanelSpec, TableSpec
from pydantic.fields import FieldInfo
from rich import box

from flows.support.command import guarded, run_command, set_up_process
from flows.support.extras import check_extras
from flows.support.options import COMMAS, Options, WithOverrides, choices, flags, is_of, nearest, one_line, positional
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


def run(options: type[Options], module: str, *, at_once: bool = False) -> NoReturn:
    """The process of a command: its arguments, its checks, and then ``main`` of a module with slow imports.

    Args:
        options: Of the command.
        module: Name of the module, whose ``main`` takes the options and returns an exit code, or None. For one called
            ``flow`` a Prefect server is started where no API is configured.
        at_once: See `run_command`.
    """
    is_flow = module.endswith(".flow")
    given, verbose = _parsed(options, sys.argv[1:])
    given.set_environment(verbose)
    set_up_process(verbose)

    def check() -> None:
        check_extras(given.extras())  # first: what the other checks find may be the lack of one
        given.check()
        given.start_early()

    if code := guarded(check):
        sys.exit(code)

    def work() -> int | None:
        if is_flow:
            from flows.support.prefect_server import start_prefect, with_prefect

            start_prefect()  # it starts while the flow is imported
        main: Callable[[Options], int | None] = importlib.import_module(module).main
        return with_prefect(partial(main, given)) if is_flow else main(given)

    run_command(work, at_once=at_once)


def command_app(options: type[Options], name: str) -> App:
    """The command line of a command, whose default function returns the texts that were given, by field."""

    def collect(*given: Any, **named: Any) -> dict[str, Any]:
        return signature.bind(*given, **named).arguments

    # Positional ones first, as Python wants it; the keys of a config after the command's own options.
    fields = sorted(
        options.model_fields.items(),
        key=lambda field: (positional(field[1]) is None, field[0] in WithOverrides.model_fields),
    )
    verbose = Annotated[bool, Parameter(negative=(), help=_VERBOSE, show_default=False)]
    signature = inspect.Signature(
        [
            *(_parameter(key, field) for key, field in fields),
            inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=verbose),
        ]
    )
    collect.__signature__ = signature  # type: ignore[attr-defined]
    app = App(
        name=name,
        # The terminal breaks the lines of a paragraph, not the docstring.
        help="\n\n".join(map(one_line, inspect.cleandoc(options.__doc__ or "").split("\n\n"))),
        help_flags=("--help", "-h"),
        version_flags=(),
        help_formatter=_HELP,
        help_format="plaintext",
    )
    app.default(collect)
    app["--help"].group = "Parameters"
    return app


def _parsed(options: type[Given], arguments: Sequence[str]) -> tuple[Given, bool]:
    """The options that were given, and ``--verbose``; the end of the process for ``--help`` and for mistakes."""
    called = sys.argv[0]
    name = called if called.startswith("stemworks ") else f"python -m flows.{options.__module__.split('.')[1]}"
    app = command_app(options, name)
    try:
        command, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
        if command.__name__ != "collect":  # cyclopts' own, for --help
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


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """A field as a parameter of the function that cyclopts calls; its values stay texts, for pydantic to read."""
    kind, mark, default, allowed = field.annotation, positional(field), _default(field), choices(field.annotation)
    help_text = one_line(field.description) + (f" [{', '.join(allowed)}]" if len(allowed) > 1 else "")
    about = Parameter(
        name=mark.metavar if mark else None,
        help=f"{help_text} [required]" if field.is_required() else help_text,
        show_default=default is not None,
        metavar=None if mark else _metavar(kind, allowed),
        negative=(),
        json_list=False,
        json_dict=False,
        allow_repeating=True,  # the last one counts, as for a script that adds to what it was given
        allow_leading_hyphen=is_of(kind, int, float),
    )
    if is_of(kind, list, tuple, dict) and COMMAS not in field.metadata:
        text: Any = list[str] | None
    else:
        text = bool | None if is_of(kind, bool) else str | None
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_ONLY if mark else inspect.Parameter.KEYWORD_ONLY,
        default=default,  # required ones are looked for once all words are known to be options
        annotation=Annotated[(text, about, *(mark for mark in field.metadata if isinstance(mark, Parameter)))],
    )


def _metavar(kind: Any, allowed: Sequence[str]) -> str | None:
    if is_of(kind, bool):
        return None
    if allowed and not is_of(kind, int, float):
        return "CHOICE"
    kinds = {Path: "PATH", int: "N", float: "X"}
    return next((text for of, text in kinds.items() if is_of(kind, of)), "TEXT")


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
    """The error for a command line that cyclopts refuses."""
    if isinstance(error, UnknownOptionError):
        flag = error.token.keyword or error.token.value
        own = (flag for name, field in options.model_fields.items() for flag in flags(name, field))
        return ConfigError(f"{flag}: no such option", hint=nearest(flag, ["--help", "--verbose", *own]))
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return ConfigError(f"{error.keyword or error.argument.field_info.name}: needs a value")
    if isinstance(error, UnusedCliTokensError):
        return ConfigError(f"{error.unused_tokens[0] if error.unused_tokens else ''}: not expected")
    return ConfigError(one_line(str(error)))
