"""Models fetched ahead of time, listed, verified, and converted from PyTorch and to it."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from flows.models.options import Options
from flows.support.download import transfer_bar
from flows.support.terminal import say
from sepcore.engines.converted import ConversionFailed, convert_network_once, converted_network
from sepcore.errors import ProviderError, StemworksError
from sepcore.networks.stored_tensors import tensor_shapes
from sepcore.provider.download import published_models
from sepcore.provider.host import Release
from sepcore.provider.installed import InstalledModel, Pulled, installed_models, pull_model
from sepcore.provider.resolve import locate_model, published_name
from sepcore.provider.store import ModelOrigin, model_path
from sepcore.system.urls import shown


def _pull(name: str, force: bool) -> str:
    published = published_name(name)
    with transfer_bar("download") as show:
        pulled = pull_model(published, Release.from_environment(), force=force, on_progress=partial(show, published))
    folder = model_path() / published
    origin = ModelOrigin.of(folder)
    if pulled is Pulled.FETCHED and origin:
        became = f"fetched from {origin.address} into {folder}"
    else:
        became = str(pulled) + ("; --force replaces it" if pulled is Pulled.NOT_OURS else "")
    return f"{published}: {became}{_converted(name)}"


def _converted(name: str) -> str:
    """Convert a registered network for CPUs, so that the first song need not wait for it; a note about the result."""
    if InstalledModel.of(model_path() / published_name(name)).config is None:
        return ""
    model = locate_model(name)
    if tensor_shapes(model.config) is not None or converted_network(model.config, model.folder):
        return ""
    try:
        with Console(stderr=True).status(f"converting {name} for CPUs"):
            convert_network_once(model.config, model.folder)
    except ConversionFailed as error:
        return f"; separates with TensorFlow ({error})"
    return "; its network is ready for CPUs"


def _each(names: Sequence[str], work: Callable[[str], str]) -> int:
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
        model = here.get(name)
        stems = ", ".join(model.config.instruments) if model and model.config else ""
        table.add_row(name, stems, _state(model, offered.get(name)), in_release)
    if table.row_count:
        Console().print(table, markup=False, highlight=False)
    say([f"here: {model_path()}" + ("" if here else " (no models yet)"), *lines])


def _state(model: InstalledModel | None, offered: str | None) -> str:
    if model is None:
        return ""
    if model.origin is None:
        return "yes, not fetched by this program"
    return "yes" if offered in (None, model.origin.sha256) else "yes, of another release"


def _convert(options: Options) -> None:
    from sepcore.provider.convert.convert import convert_checkpoint, write_torch  # with the reader of YAML

    (given,) = options.names
    if options.output:
        beside = write_torch(locate_model(given), options.output, force=options.force)
        say([f"{given}: written to {options.output}, for MSST with {beside}"])
    elif options.name:
        made = convert_checkpoint(
            Path(given),
            options.name,
            yaml=options.config,
            instruments=options.instruments,
            license_name=options.license,
            standardize=options.standardize,
            force=options.force,
        )
        state, config = f" ({made.state})" if made.state else "", made.config
        became = "converted from" if made.is_new else "here already, as it is converted from"
        say(
            [
                f"{options.name}: {became} {given}{state} into {made.folder}",
                f"stems: {', '.join(config.instruments)}; T = {config.segment_frames}",
                f"license: {options.license or 'unknown; --license states it'}",
                *made.notes,
            ]
        )


def main(options: Options) -> int:
    """Pull, list, verify or convert; 1 if one of the models failed."""
    if options.action == "convert":
        _convert(options)
        return 0
    if options.action == "pull":
        return _each(options.names, lambda name: _pull(name, options.force))
    if options.action == "verify":
        names = options.names or [model.name for model in installed_models()]
        if not names:
            say([f"no models in {model_path()}"])
        return _each(names, lambda name: f"{name}: {InstalledModel.of(model_path() / name).check()}")
    _list()
    return 0
