"""From a model reference, as ``-p`` takes it, to a config and a local folder with the weights."""

import re
from collections.abc import Sequence
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

_PLAIN_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class LocalModel:
    """A model that can be loaded; its folder holds a whole TensorFlow checkpoint (``*.index``, ``*.data-*``)."""

    name: str
    config: ModelConfig
    folder: Path


def locate_model(descriptor: str | Path, *, on_progress: OnProgress | None = None) -> LocalModel:
    """Find a model on this machine; fetch it if it is a published one.

    Args:
        descriptor: A name (``2stems``, ``spleeter:2stems``; of ``conf/``, of a model in `MODEL_PATH`, or of a release
            on ``GITHUB_HOST``), a JSON file, a release tarball, or a folder with a ``config.json`` in it (a run, an
            unpacked release).
        on_progress: Told how far a download is.

    Raises:
        ConfigError: if there is no such model, or its config cannot be used.
        ProviderError: if there is no whole checkpoint and none can be fetched.
    """
    path = Path(descriptor)
    if path.is_file():
        return _of_tarball(path) if is_archive(path) else _of_json(path, on_progress)
    if _has_config(path):
        return LocalModel(model_name(path), load_config(path), _whole_among([path / "model", path], path))
    return _of_name(str(descriptor), on_progress)


def _of_tarball(path: Path) -> LocalModel:
    name, digest = model_name(path), known_sha256(path)
    if not _is_shipped(name):
        load_config(path)  # a tarball without a config is refused before it is unpacked

    def is_there(folder: Path) -> bool:
        origin = ModelOrigin.of(folder)  # None if another program put the model there
        return find_checkpoint(folder) is not None and (origin is None or origin.sha256 == digest)

    def obtain() -> AbstractContextManager[VerifiedArchive]:
        archive = verified(path, name)
        if archive.sha256 != digest:  # while this process waited for the folder
            raise ProviderError("the file was replaced while it was read", path=path, hint="Run this again.")
        return nullcontext(archive)

    # By content, so that releases of the same name do not meet.
    folder = install_model(model_path() / f"{name}-{digest[:12]}", obtain, is_there)
    # Deezer's tarballs hold no config; their names lead to it.
    return LocalModel(name, load_config(folder if _has_config(folder) else name), folder)


def _of_json(path: Path, on_progress: OnProgress | None) -> LocalModel:
    config, here = load_config(path), path.absolute().parent
    model_dir = config.model_dir
    places = [here / "model", here] if path.name == "config.json" else [here]
    if model_dir:
        places = [model_path() / model_dir, here / model_dir, *places]
    folder = _first_whole(places)
    # As in Spleeter, a model of the release is fetched; a model_dir that is a path never is.
    if not folder and model_dir and _PLAIN_NAME.fullmatch(model_dir) and is_name(model_dir):
        folder = _stored(model_dir)
        if not folder and Release.from_environment().carries(model_dir):
            folder = _downloaded(model_dir, on_progress, _no_checkpoint(places, path))
    return LocalModel(model_name(path), config, folder or _whole_among(places, path))


def _of_name(descriptor: str, on_progress: OnProgress | None) -> LocalModel:
    if descriptor.endswith(".json") or is_archive(Path(descriptor)):
        raise unknown_model(descriptor)  # a file that is not there: no release has it
    name = _without_prefix(descriptor)
    shipped = load_config(name) if _is_shipped(name) else None
    model_dir = (shipped and shipped.model_dir) or name
    slots = _slots(name, model_dir)
    folder = None
    if _PLAIN_NAME.fullmatch(name):
        stored = (_stored(slot) for slot in slots)
        folder = next((place for place in stored if place and (shipped or _has_config(place))), None)
    if not folder:
        missing: ConfigError | ProviderError
        if shipped:
            missing = _no_checkpoint([model_path() / slot for slot in slots], model_path() / model_dir, shipped=name)
        else:
            missing = unknown_model(descriptor)  # most likely a typo
        published = published_name(name) if _PLAIN_NAME.fullmatch(name) else None
        if published is None or not Release.from_environment().carries(published):
            raise missing
        folder = _downloaded(published, on_progress, missing)
    # A trained model's own config may differ from the shipped one; that of borrowed weights is another model's.
    if shipped and not (folder.name == name and _has_config(folder)):
        return LocalModel(name, shipped, folder)
    return LocalModel(name, load_config(folder), folder)


def is_at_hand(descriptor: str | Path) -> bool:
    """Whether `locate_model` has nothing to fetch or unpack: for the folder of a model, or the name of one."""
    path = Path(descriptor)
    if path.is_file():
        return False  # a tarball, or a config whose model may have to be fetched
    if _has_config(path):
        return _first_whole([path / "model", path]) is not None
    name = _without_prefix(str(descriptor))
    if not _PLAIN_NAME.fullmatch(name):
        return False
    slots = _slots(name, (_is_shipped(name) and load_config(name).model_dir) or name)
    # A tarball may hold newer weights.
    has_tarball = any((model_path() / f"{slot}.tar.gz").exists() for slot in slots)
    return not has_tarball and find_checkpoint(model_path() / slots[0]) is not None


def published_name(name: str) -> str:
    """The name of a model in a release: ``2stems`` for ``2stems-16kHz``, which borrows its weights.

    ConfigError if it cannot be a model's name.
    """
    name = _without_prefix(name)
    if not _PLAIN_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a model's name", hint=f"Give one of a release, such as {', '.join(PRETRAINED)}."
        )
    model_dir = load_config(name).model_dir if _is_shipped(name) else None
    return model_dir if model_dir in PRETRAINED else name


def is_plain_name(name: str) -> bool:
    """Whether a model in `MODEL_PATH` that is called so is found by its name."""
    is_file = name.endswith(".json") or is_archive(Path(name))
    return _PLAIN_NAME.fullmatch(name) is not None and is_name(name) and not is_file


def _slots(name: str, model_dir: str) -> list[str]:
    """Where the weights of a named model may lie in `MODEL_PATH`, the first choice first."""
    # A variant such as 2stems-16kHz borrows the weights of another name, unless it has been trained itself.
    return list(dict.fromkeys([name, model_dir] if model_dir in PRETRAINED else [model_dir, name]))


def _without_prefix(name: str) -> str:
    return name.removeprefix("spleeter:")


def _is_shipped(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name) is not None and (config_folder() / f"{name}.json").is_file()


def _has_config(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _stored(name: str) -> Path | None:
    """The folder of a model in `MODEL_PATH`, unpacked there from its tarball if need be."""
    folder, archive = model_path() / name, model_path() / f"{name}.tar.gz"
    if archive.is_file():
        return install_model(folder, lambda: nullcontext(verified(archive, name)))
    return _first_whole([folder])


def _downloaded(name: str, on_progress: OnProgress | None, otherwise: ConfigError | ProviderError) -> Path:
    """Fetch a model from the release; for a model that may not be published, the error is based on ``otherwise``."""
    here = model_path()

    def obtain() -> AbstractContextManager[VerifiedArchive]:
        return fetched_model(published_models(Release.from_environment(), name), name, here, on_progress)

    try:
        return install_model(here / name, obtain)
    except ProviderError as error:
        if name in PRETRAINED:
            raise
        raise type(otherwise)(
            f"{otherwise.problem}, and {name} cannot be fetched: {error.reason}",
            path=otherwise.path,
            hint=f"{otherwise.hint} {error.hint}".strip(),
            errno=error.errno,
        ) from error


def _first_whole(places: Sequence[Path]) -> Path | None:
    """The first folder that holds a whole checkpoint."""
    return next((place for place in places if find_checkpoint(place)), None)


def _whole_among(places: Sequence[Path], path: Path) -> Path:
    folder = _first_whole(places)
    if folder is None:
        raise _no_checkpoint(places, path)
    return folder


def _no_checkpoint(places: Sequence[Path], path: Path, *, shipped: str = "") -> ProviderError:
    listed = ", ".join(str(place) for place in dict.fromkeys(places))
    train = f"Train it with `python -m flows.train -p {shipped}`" if shipped else "Train the model first"
    return ProviderError(
        f"no complete checkpoint{shipped and f' of {shipped}'} (*.index and *.data-*) in {listed}",
        path=path,
        hint=f"{train}, or set MODEL_PATH to the folder that holds it.",
    )
