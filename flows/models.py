"""The models in MODEL_PATH: fetch them ahead of time, list them beside those of the release, check their files."""

import argparse
import sys
from collections.abc import Callable

from flows.support.command import command_parser, run_command, set_up_process
from sepcore.urls import shown


def _arguments() -> argparse.Namespace:
    parser = command_parser(
        "models",
        f"{__doc__} The release is GITHUB_HOST/GITHUB_REPOSITORY's GITHUB_RELEASE (default: Spleeter's own, v1.4.0).",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    pull = actions.add_parser("pull", help="fetch models, or bring them to what the release has")
    pull.add_argument("names", nargs="+", metavar="MODEL", help="names in the release: 2stems, 4stems, …")
    pull.add_argument(
        "--force", action="store_true", help="replace also a model that another program put there, but no other files"
    )
    actions.add_parser("list", help="the models here and in the release")
    verify = actions.add_parser("verify", help="read every file of models and say whether they are what came")
    verify.add_argument("names", nargs="*", metavar="MODEL", help="names in MODEL_PATH (default: all)")
    arguments = parser.parse_args()
    set_up_process(arguments.verbose)
    return arguments


# Parsed before the imports below, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from rich.console import Console  # noqa: E402
from rich.filesize import decimal  # noqa: E402
from rich.table import Table  # noqa: E402

from flows.support.download import download_bar  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from sepcore.engines.converted import ConversionFailed, convert_network_once, converted_network  # noqa: E402
from sepcore.errors import ProviderError, StemworksError  # noqa: E402
from sepcore.provider.download import published_models  # noqa: E402
from sepcore.provider.host import Release  # noqa: E402
from sepcore.provider.installed import InstalledModel, Pulled, installed_models, pull_model  # noqa: E402
from sepcore.provider.origin import ModelOrigin  # noqa: E402
from sepcore.provider.resolve import locate_model, published_name  # noqa: E402
from sepcore.provider.store import model_path  # noqa: E402


def _pull(name: str, force: bool) -> str:
    published = published_name(name)
    with download_bar(published) as show:
        pulled = pull_model(published, Release.from_environment(), force=force, on_progress=show)
    folder = model_path() / published
    origin = ModelOrigin.of(folder)
    if pulled is Pulled.FETCHED and origin:
        became = f"fetched from {origin.address} into {folder}"
    else:
        became = str(pulled) + ("; --force replaces it" if pulled is Pulled.NOT_OURS else "")
    return f"{published}: {became}{_converted(name)}"


def _converted(name: str) -> str:
    """Have the network ready for CPUs, for which the first separation would wait; what there is to say of it."""
    if InstalledModel.of(model_path() / published_name(name)).config is None:
        return ""
    model = locate_model(name)
    if converted_network(model.config, model.folder):
        return ""
    try:
        with Console(stderr=True).status(f"converting {name} for CPUs"):
            convert_network_once(model.config, model.folder)
    except ConversionFailed as error:
        return f"; separates with TensorFlow ({error})"
    return "; its network is ready for CPUs"


def _verify(name: str) -> str:
    return f"{name}: {InstalledModel.of(model_path() / name).check()}"


def _each(names: list[str], work: Callable[[str], str]) -> int:
    """Do it for every name; one that fails does not stop the others."""
    failed = 0
    for name in dict.fromkeys(names):
        try:
            say([work(name)])
        except StemworksError as error:
            failed += 1
            sys.stderr.write(f"{error}\n")
    return 1 if failed else 0


def _list() -> None:
    here = {model.name: model for model in installed_models()}
    try:
        listing = published_models(Release.from_environment())
        offered, sizes = listing.sha256, listing.sizes()
        lines = [f"release: {shown(listing.place)}"]
    except ProviderError as error:
        offered, sizes = {}, {}
        lines = [f"release: {error}"]
    table = Table("model", "stems", "here", "in the release")
    for name in sorted({*here, *offered}):
        size = sizes.get(name)
        in_release = "" if name not in offered else "yes" if size is None else decimal(size)
        table.add_row(name, _stems(here.get(name)), _state(here.get(name), offered.get(name)), in_release)
    if table.row_count:
        Console().print(table, markup=False, highlight=False)
    say([f"here: {model_path()}" + ("" if here else " (no models yet)"), *lines])


def _stems(model: InstalledModel | None) -> str:
    return ", ".join(model.config.instruments) if model and model.config else ""


def _state(model: InstalledModel | None, offered: str | None) -> str:
    if model is None:
        return ""
    if model.origin is None:
        return "yes, not fetched by this program"
    return "yes" if offered in (None, model.origin.sha256) else "yes, of another release"


def _main(arguments: argparse.Namespace) -> int:
    if arguments.action == "pull":
        return _each(arguments.names, lambda name: _pull(name, arguments.force))
    if arguments.action == "verify":
        names = arguments.names or [model.name for model in installed_models()]
        if not names:
            say([f"no models in {model_path()}"])
        return _each(names, _verify)
    _list()
    return 0


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
