"""From what ``-p`` takes to a config and a local folder with the weights."""

import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sepcore.config.load import is_archive, load_config, model_name, unknown_model
from sepcore.config.model_config import ModelConfig, config_folder
from sepcore.errors import ConfigError, ProviderError
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.provider.checksum import VerifiedArchive, known_sha256, verified
from sepcore.provider.download import fetched_model, published_models
from sepcore.provider.host import PRETRAINED, Release
from sepcore.provider.store import ModelOrigin, install_model, model_path
from sepcore.provider.transfer import OnProgress
from sepcore.system.foreign import is_name

_TRAIN_FIRST = "Train the model first, or set MODEL_PATH to the folder that holds it."


@dataclass(frozen=True)
class LocalModel:
    """A model that can be loaded.

    Attributes:
        name: By which it is known, for messages and file names.
        config: Its config.
        folder: Holds a whole TensorFlow checkpoint (``*.index``, ``*.data-*``).
    """

    name: str
    config: ModelConfig
    folder: Path


def locate_model(descriptor: str | Path, *, on_progress: OnProgress | None = None) -> LocalModel:
    """Find a model on this machine; fetch it if it is a published one.

    Args:
        descriptor: A name (``2stems``, ``spleeter:2stems``; of ``conf/``, of a model in `MODEL_PATH`, or of a release
            on ``GITHUB_HOST``), a JSON file, a release tarball, or a folder with a ``config.json`` in it (a run, an
            unpacked release).
        on_progress: Told the bytes of a download that are there and, where known, the bytes in all.

    Raises:
        ConfigError: if there is no such model, or its config cannot be used.
        ProviderError: if there is no whole checkpoint and none can be fetched.
    """
    path = Path(descriptor)
    if path.is_file():
        return _of_tarball(path) if is_archive(path) else _of_json(path, on_progress)
    if (path / "config.json").is_file():
        config = load_config(path)
        return LocalModel(model_name(path), config, _whole_among([path / "model", path], path))
    return _of_name(str(descriptor), on_progress)


def _of_tarball(path: Path) -> LocalModel:
    name, digest = model_name(path), known_sha256(path)
    if not _is_shipped(name):
        load_config(path)  # a tarball without a config is refused before it is unpacked
    # By content: another release of the same name does not meet this one's weights.
    folder = install_model(
        model_path() / f"{name}-{digest[:12]}",
        lambda: nullcontext(_unchanged(path, name, digest)),
        lambda there: find_checkpoint(there) and _is_of(there, digest),
    )
    # Deezer's tarballs hold no config; their names lead to it.
    return LocalModel(name, load_config(folder if _has_config(folder) else name), folder)


def _is_of(folder: Path, digest: str) -> bool:
    """Whether a model's folder came from the tarball of a digest, or by another program, which says nothing of it."""
    origin = ModelOrigin.of(folder)
    return origin is None or origin.sha256 == digest


def _unchanged(path: Path, name: str, digest: str) -> VerifiedArchive:
    """A tarball, if it is still the one of a digest: another may have come while the folder was waited for."""
    archive = verified(path, name)
    if archive.sha256 != digest:
        raise ProviderError("the file was replaced while it was read", path=path, hint="Run this again.")
    return archive


def _of_json(path: Path, on_progress: OnProgress | None) -> LocalModel:
    config, here = load_config(path), path.absolute().parent
    model_dir = config.model_dir
    places = [here / "model", here] if path.name == "config.json" else [here]
    if model_dir:
        places = [model_path() / model_dir, here / model_dir, *places]
    folder = next((place for place in places if find_checkpoint(place)), None)
    # As in Spleeter, a model of the release is fetched; what leads elsewhere than to a name never is.
    if not folder and model_dir and _PLAIN_NAME.fullmatch(model_dir) and is_name(model_dir):
        folder = _stored(model_dir)
        if not folder and Release.from_environment().carries(model_dir):
            folder = _downloaded_for(path, places, model_dir, on_progress)
    return LocalModel(model_name(path), config, folder or _whole_among(places, path))


def _downloaded_for(path: Path, places: list[Path], model_dir: str, on_progress: OnProgress | None) -> Path:
    """The model that a JSON's ``model_dir`` names, from the release."""
    try:
        return _downloaded(model_dir, on_progress)
    except ProviderError as error:
        if model_dir in PRETRAINED:
            raise
        raise ProviderError(
            f"no complete checkpoint in {_listed(places)}, and {model_dir} cannot be fetched: {_without_hint(error)}",
            path=path,
            hint=f"{_TRAIN_FIRST} {error.hint}".strip(),
            errno=error.errno,
        ) from error


def _of_name(descriptor: str, on_progress: OnProgress | None) -> LocalModel:
    if descriptor.endswith(".json") or is_archive(Path(descriptor)):
        raise unknown_model(descriptor)  # a file that is not there: no release has it
    name = _without_prefix(descriptor)
    shipped = load_config(name) if _is_shipped(name) else None
    model_dir = (shipped and shipped.model_dir) or name
    # A variant such as 2stems-16kHz borrows the weights of another name, unless it has been trained itself.
    slots = [name, model_dir] if model_dir in PRETRAINED else [model_dir, name]
    for slot in dict.fromkeys(slots) if _PLAIN_NAME.fullmatch(name) else []:
        folder = _stored(slot)
        if folder and (shipped or _has_config(folder)):
            return LocalModel(name, _own_config(folder, name, shipped), folder)
    published = published_name(name) if _PLAIN_NAME.fullmatch(name) else None
    if published is None or not Release.from_environment().carries(published):
        if not shipped:
            raise unknown_model(descriptor)
        raise ProviderError(
            f"{name} has no complete checkpoint (*.index and *.data-*) in "
            f"{_listed(model_path() / slot for slot in slots)}",
            hint=_TRAIN_FIRST,
        )
    try:
        folder = _downloaded(published, on_progress)
    except ProviderError as error:
        if published in PRETRAINED:
            raise
        if not shipped:  # most likely a typo
            unknown = unknown_model(descriptor)
            raise ConfigError(
                f"{unknown.problem}, and it cannot be fetched: {_without_hint(error)}",
                path=unknown.path,
                hint=f"{unknown.hint} {error.hint}".strip(),
                errno=error.errno,
            ) from error
        raise ProviderError(
            f"no trained model {name} here, and it cannot be fetched: {_without_hint(error)}",
            path=model_path() / model_dir,
            hint=f"Train it with `python -m flows.train -p {name}`. {error.hint}".strip(),
            errno=error.errno,
        ) from error
    return LocalModel(name, _own_config(folder, name, shipped), folder)


def published_name(name: str) -> str:
    """Under which name a release has a model: ``2stems`` of ``2stems-16kHz``, which borrows its weights.

    Raises:
        ConfigError: if it can be no model's name.
    """
    name = _without_prefix(name)
    if not _PLAIN_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a model's name", hint=f"Give one of a release, such as {', '.join(PRETRAINED)}."
        )
    model_dir = load_config(name).model_dir if _is_shipped(name) else None
    return model_dir if model_dir in PRETRAINED else name


def _without_prefix(name: str) -> str:
    return name.removeprefix("spleeter:")


_PLAIN_NAME = re.compile(r"\w[\w.+-]*")


def _is_shipped(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name) is not None and (config_folder() / f"{name}.json").is_file()


def _has_config(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _own_config(folder: Path, name: str, shipped: ModelConfig | None) -> ModelConfig:
    """The config in a model's folder, which may be retrained with another than the shipped; not of borrowed weights."""
    return load_config(folder) if not shipped or (folder.name == name and _has_config(folder)) else shipped


def _stored(name: str) -> Path | None:
    """The folder of a model in `MODEL_PATH`, unpacked there from its tarball if need be."""
    folder, archive = model_path() / name, model_path() / f"{name}.tar.gz"
    if archive.is_file():
        return install_model(folder, lambda: nullcontext(verified(archive, name)))
    return folder if find_checkpoint(folder) else None


def _downloaded(name: str, on_progress: OnProgress | None) -> Path:
    here = model_path()

    def fetched() -> AbstractContextManager[VerifiedArchive]:
        return fetched_model(published_models(Release.from_environment(), name), name, here, on_progress)

    return install_model(here / name, fetched)


def _whole_among(places: Sequence[Path], path: Path) -> Path:
    """The first of some folders that holds a whole checkpoint; ProviderError about ``path`` if none does."""
    for place in places:
        if find_checkpoint(place):
            return place
    raise ProviderError(
        f"no complete checkpoint (*.index and *.data-*) in {_listed(places)}", path=path, hint=_TRAIN_FIRST
    )


def _listed(places: Iterable[Path]) -> str:
    return ", ".join(str(place) for place in dict.fromkeys(places))


def _without_hint(error: ProviderError) -> str:
    """What went wrong at a release, as part of another error's problem."""
    return f"{error.path}: {error.problem}" if error.path else error.problem
