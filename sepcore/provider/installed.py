"""The models in `MODEL_PATH`: listed, verified, and updated from a release."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from sepcore.config.load import is_archive, load_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import CheckpointError, ConfigError, ProviderError
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.networks.stored_tensors import load_tensors, tensor_shapes
from sepcore.provider.checksum import VerifiedArchive
from sepcore.provider.download import fetched_model, published_models
from sepcore.provider.host import Release
from sepcore.provider.store import ModelOrigin, install_model, model_path
from sepcore.provider.transfer import OnProgress
from sepcore.system.ownership import shown_names


@dataclass(frozen=True)
class InstalledModel:
    """A model that can be loaded by its name.

    Attributes:
        config: Its own, or the shipped config of its name; None if there is neither.
        origin: Where it was fetched from; None if another program, a training or the user put it there.
    """

    name: str
    folder: Path
    config: ModelConfig | None
    origin: ModelOrigin | None

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The model in a folder; ProviderError if it holds no whole checkpoint."""
        if not find_checkpoint(folder):
            what = "no complete checkpoint (*.index and *.data-*)" if folder.is_dir() else "no such model"
            raise ProviderError(what, path=folder, hint=f"Fetch it with `python -m flows.models pull {folder.name}`.")
        try:
            config = load_config(folder if (folder / "config.json").is_file() else folder.name)
        except ConfigError:
            config = None
        return cls(folder.name, folder, config, ModelOrigin.of(folder))

    def _again(self) -> str:
        if self.origin is None or is_archive(Path(self.origin.address)):
            return f"pull {self.name}"
        return f"convert {self.origin.address} --name {self.name}"

    def check(self) -> str:
        """Read all of the model's files, and return a line that says how they were checked.

        Raises:
            ProviderError: if something is missing or changed.
        """
        if self.origin is not None:
            if changed := self.origin.changed_files(self.folder):
                raise ProviderError(
                    f"{', '.join(changed)} changed or missing since the model came from {self.origin.address}",
                    path=self.folder,
                    hint=f"Get it again with `python -m flows.models {self._again()}`.",
                )
            if foreign := self.origin.foreign_files(self.folder):
                raise ProviderError(
                    f"{shown_names(foreign)} did not come from {self.origin.address}",
                    path=self.folder,
                    hint="Remove what is not yours. The files that came with the model are unchanged.",
                )
            return f"{len(self.origin.files)} files as they came from {self.origin.address}"
        if self.config is None:
            raise ProviderError(
                f"has no config.json and {self.name} is not a shipped model, so its weights cannot be checked",
                path=self.folder,
                hint="Put its config.json next to them.",
            )
        try:
            _check_weights(self.config, self.folder)
        except CheckpointError as error:
            path = error.path or self.folder
            raise ProviderError(error.problem, hint=error.hint, path=path, errno=error.errno) from error
        return "every tensor of its network is there; its origin is unknown"


def _check_weights(config: ModelConfig, folder: Path) -> None:
    shapes = tensor_shapes(config)
    if shapes is not None:
        load_tensors(shapes, folder)
        return
    # Only Keras knows the tensors of a registered network.
    from sepcore.networks.registry import build_network
    from sepcore.networks.spleeter_checkpoint import read_checkpoint

    read_checkpoint(build_network(config), folder)


def installed_models() -> list[InstalledModel]:
    """The whole models in `MODEL_PATH`, by name."""
    folders = [path for path in model_path().glob("*") if path.is_dir() and not path.name.startswith(".")]
    return [InstalledModel.of(folder) for folder in sorted(folders) if find_checkpoint(folder)]


class Pulled(StrEnum):
    """The result of `pull_model`."""

    FETCHED = "fetched"
    UP_TO_DATE = "already up to date"
    NOT_OURS = "kept as it is: it was not fetched by this program"


def pull_model(name: str, release: Release, *, force: bool = False, on_progress: OnProgress | None = None) -> Pulled:
    """Update a model in `MODEL_PATH` from a release: fetch it, or replace one that is damaged or of another release.

    Args:
        name: Of the model in the release.
        release: Where to fetch it.
        force: Also replace a model of unknown origin, such as one that was trained here, but no other files.
        on_progress: Told how far a download is.

    Raises:
        ProviderError: nothing in the folder was changed.
    """
    folder, fetched = model_path() / name, False
    listing = published_models(release, name)

    def is_there(folder: Path) -> bool:
        if not find_checkpoint(folder):
            return False
        origin = ModelOrigin.of(folder)
        if origin is None:
            return not force
        return origin.sha256 == listing.sha256.get(name) and not origin.changed_files(folder)

    def obtain() -> AbstractContextManager[VerifiedArchive]:
        nonlocal fetched
        fetched = True
        return fetched_model(listing, name, folder.parent, on_progress)

    install_model(folder, obtain, is_there, force=force)
    if fetched:
        return Pulled.FETCHED
    return Pulled.NOT_OURS if ModelOrigin.of(folder) is None else Pulled.UP_TO_DATE
