"""The options of the models command."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from flows.support.options import Flag, Positional
from flows.support.options import Options as Base


class Options(Base):
    """The models in MODEL_PATH: fetch them ahead of time, list them beside those of the release, check their files.

    The release is GITHUB_HOST/GITHUB_REPOSITORY's GITHUB_RELEASE (default: Spleeter's own, v1.4.0).
    """

    action: Annotated[Literal["pull", "list", "verify"], Positional("ACTION")]
    """pull: fetch models, or update them from the release; list: the models here and in the release; verify: read every
    file of the models and say whether they are unchanged."""
    names: Annotated[tuple[str, ...], Positional("MODEL")] = ()
    """Of pull: names in the release, 2stems, 4stems, …; of verify: names in MODEL_PATH (default: all)."""
    force: Flag = False
    """With pull: also replace a model that another program put there, but no other files."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.action == "pull" and not self.names:
            raise ValueError("pull: no model is named. Give names of the release, e.g. 2stems; list shows them.")
        if self.action == "list" and self.names:
            raise ValueError("list takes no names. Leave them out, or use verify.")
        if self.force and self.action != "pull":
            raise ValueError("--force is for pull. Leave it out.")
        return self
