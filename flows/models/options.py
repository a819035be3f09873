"""The options of the models command."""

from pathlib import Path
from typing import Annotated, Literal, Self

from cyclopts import Parameter
from pydantic import BeforeValidator, model_validator

from flows.support.options import COMMAS, Flag, Positional
from flows.support.options import Options as Base
from flows.support.options import names as listed
from sepcore.errors import ConfigError

_OF_CHECKPOINTS = "network", "name", "config", "instruments", "license", "standardize"
_OF_TORCH = "to", "output"


class Options(Base):
    """The models in MODEL_PATH: fetch, list, check them; bring in those of others from PyTorch, or take ours there.

    The release is GITHUB_HOST/GITHUB_REPOSITORY's GITHUB_RELEASE (default: Spleeter's own, v1.4.0).
    """

    action: Annotated[Literal["pull", "list", "verify", "convert"], Positional("ACTION")]
    """pull: fetch models, or update them from the release; list: the models here and in the release; verify: read every
    file of the models and say whether they are unchanged; convert: make a PyTorch checkpoint of SCNet a model here."""
    names: Annotated[tuple[str, ...], Positional("MODEL")] = ()
    """Of pull: names in the release, 2stems, 4stems, …; of verify: names in MODEL_PATH (default: all); of convert: the
    checkpoint or, with --to torch, a model (a name, a JSON file, a release tarball, a run folder)."""
    network: Literal["scnet.scnet"] = "scnet.scnet"
    """With convert: what the checkpoint is of."""
    name: str | None = None
    """With convert: the model's name, by which -p then takes it."""
    config: Path | None = None
    """With convert: the YAML of MSST, or of SCNet's author, that belongs to the checkpoint; T comes from its chunk
    (default: sizes from the tensors, all else as the author has it, T = 476)."""
    instruments: Annotated[tuple[str, ...], BeforeValidator(listed), COMMAS] = ()
    """With convert: the stems in the order of the network's outputs (default: the YAML's; of four without a YAML the
    author's, drums,bass,other,vocals)."""
    license: str | None = None
    """With convert: the license of the weights, for the card (default: unknown)."""
    standardize: bool | None = None
    """With convert: whether the network brings spectra to mean 0 and deviation 1, as SCNet's author has it since
    2024-09-24 (default: of the author's checkpoints, not of MSST's)."""
    to: Literal["torch"] | None = None
    """With convert: write a model of this project as a PyTorch checkpoint, which MSST loads with the YAML beside it."""
    output: Annotated[Path | None, Parameter(name=("-o", "--output"))] = None
    """With --to torch: file of the checkpoint."""
    force: Flag = False
    """With pull and convert: also replace another model, but no other files; with --to torch: replace the file."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.action == "pull" and not self.names:
            raise ValueError("pull: no model is named. Give names of the release, e.g. 2stems; list shows them.")
        if self.action == "list" and self.names:
            raise ValueError("list takes no names. Leave them out, or use verify.")
        if self.force and self.action not in ("pull", "convert"):
            raise ValueError("--force is for pull and convert. Leave it out.")
        if self.action == "convert":
            self._check_convert()
        elif given := [f"--{field}" for field in (*_OF_CHECKPOINTS, *_OF_TORCH) if field in self.model_fields_set]:
            raise ValueError(f"{given[0]} is for convert. Leave it out.")
        return self

    def _check_convert(self) -> None:
        if len(self.names) != 1:
            raise ValueError(f"convert takes one file or, with --to torch, one model, not {len(self.names)}. Give one.")
        if self.to is None and self.name is None:
            raise ValueError("convert: the model has no name. Give it one with --name.")
        if (self.to is None) != (self.output is None):
            raise ValueError("--to torch and --output go together. Give both, or neither.")
        if self.to and (given := [f"--{field}" for field in _OF_CHECKPOINTS if field in self.model_fields_set]):
            raise ValueError(f"{given[0]} is for a checkpoint that becomes a model, not for --to torch. Leave it out.")

    def check(self) -> None:
        """Refuse a name that no new model can have."""
        if self.name is None:
            return
        from sepcore.config.model_config import config_folder
        from sepcore.provider.host import PRETRAINED
        from sepcore.provider.resolve import is_plain_name

        if not is_plain_name(self.name):
            raise ConfigError(
                f"--name: {self.name!r} cannot be a model's name", hint="Use letters, digits, . + - and _."
            )
        if self.name in PRETRAINED or (config_folder() / f"{self.name}.json").is_file():
            raise ConfigError(f"--name: {self.name} is a model of this project", hint="Give another name.")
