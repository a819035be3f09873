"""The command ``stemworks``: ``stemworks train …`` is ``python -m flows.train …``."""

import ast
import runpy
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NoReturn

from flows.support.terminal import say

_WRONG = 2
_SHELLS: tuple[Literal["bash", "zsh"], ...] = ("bash", "zsh")
_COMPLETION = "Print what completes this command in a shell: bash or zsh."


def main() -> None:
    """Run the command that the first argument names, or list the commands."""
    known = commands()
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, known))
        say(["Usage: stemworks COMMAND [OPTIONS]", "", "Music source separation, from data sets to stems.", ""])
        say(f"  {one:{width}}  {about}" for one, about in known.items())
        say(["", "stemworks COMMAND --help lists a command's options, --version prints the version."])
    elif name == "--version":
        say([f"stemworks {version('stemworks')}"])
    elif name == "completion":
        _complete(rest, known)
    elif name in known:
        sys.argv = [f"stemworks {name}", *rest]
        runpy.run_module(f"flows.{name}", run_name="__main__")
    else:
        from flows.support.options import nearest

        kind = "option" if name.startswith("-") else "command"
        hint = nearest(name, list(known)) or f"Give one of {', '.join(known)}."
        _refuse(f"{name}: no such {kind}. {hint}")


def commands() -> dict[str, str]:
    """The commands by name, each with the first line of its package, which is not imported."""
    about = {"completion": _COMPLETION}
    for package in sorted(Path(__file__).parent.glob("*/__main__.py")):
        text = ast.get_docstring(ast.parse(package.with_name("__init__.py").read_text("utf-8"))) or ""
        about[package.parent.name] = text.partition("\n")[0]
    return dict(sorted(about.items()))


def _complete(given: list[str], known: dict[str, str]) -> None:
    shells = [shell for shell in _SHELLS if given == [shell]]
    if not shells:
        problem = f"completion {' '.join(given)}: no such shell" if given else "completion: the shell is missing"
        _refuse(f"{problem}. Give one of {', '.join(_SHELLS)}.")
    from cyclopts import App

    from flows.support.command_line import command_app

    app = App(name="stemworks", help_flags=("--help", "-h"), version_flags=())
    for name in known:
        if name != "completion":
            app.command(command_app(import_module(f"flows.{name}.options").Options, name))
    script = app.generate_completion(prog_name="stemworks", shell=shells[0])
    # Where no command or option fits, bash completes a file.
    sys.stdout.write(script.replace("complete -F ", "complete -o default -F "))


def _refuse(line: str) -> NoReturn:
    sys.stderr.write(f"stemworks: {line} (--help lists the commands)\n")
    sys.exit(_WRONG)


if __name__ == "__main__":
    main()
