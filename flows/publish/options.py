"""The options of flows.publish."""

from pathlib import Path
from typing import Annotated, Self

from cyclopts import Parameter
from pydantic import Field, model_validator

from flows.support.extras import PIPELINE
from flows.support.inputs import resolve_run
from flows.support.options import Flag, Positional, Releases, Version, WorkDir
from flows.support.options import Options as Base
from sepcore.evaluation.choices import MARGIN_DB


class Options(Base):
    """Finished runs to a versioned release: <releases>/<version>/<model>.tar.gz with its checksum, and to GitHub.

    Refused (exit code 1) unless every stem beats the untouched mixture and none is worse than in the champion, the
    model of this name that was released last. Of several runs all are published, or none.
    """

    needs = PIPELINE

    runs: Annotated[list[str], Positional("RUN"), Field(min_length=1)]
    """Runs, each by its folder, its name, or its MLflow run id."""
    version: Version
    """Semantic version, e.g. 1.0.0."""
    models: Annotated[list[str] | None, Parameter(name=("--models", "--name"), consume_multiple=True)] = None
    """Names of the models, one for each RUN (default: the runs')."""
    releases: Releases = Path("releases")
    work_dir: WorkDir = Path("runs")
    margin_db: Annotated[float, Parameter(name="--margin"), Field(ge=0, lt=100)] = MARGIN_DB
    """By how many dB a stem's median SDR may be below the champion's."""
    force: Flag = False
    """Publish even if the quality gate fails; the card says so."""
    github: Flag = False
    """Upload the version's release to GITHUB_REPOSITORY on GITHUB_HOST, with GITHUB_TOKEN."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.models and len(self.models) != len(self.runs):
            raise ValueError(f"--models has {len(self.models)} names for {len(self.runs)} runs. Give one for each.")
        return self

    def check(self) -> None:
        """Refuse runs that do not exist or are not finished, and GitHub without a repository and a token."""
        from sepcore.release.github_repository import GithubRepository
        from sepcore.release.training_record import ReleasableRun

        if self.github:
            GithubRepository.from_environment()
        for run in self.runs:
            ReleasableRun.load(resolve_run(run, self.work_dir).path)
