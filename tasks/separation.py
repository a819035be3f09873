"""The task that separates one song of a batch."""

from typing import Any

from prefect import State, Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from sepcore.batch.run import separate_song
from sepcore.batch.song import Outcome, Song
from sepcore.errors import SongsFailed
from sepcore.separation.settings import SeparatorSettings
from sepcore.separation.shared import PlannedModel, planned_separator, shared_separator
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.system.printable import printable


class SongFailed(SongsFailed):
    """A song that could not be separated, as Prefect's page shows it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.why, path=outcome.shown_song)
        self.outcome = outcome
        self.args = (outcome,)  # from which a cluster makes the worker's exception anew


# What no retry fixes.
_LASTING = FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError


def is_passing(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry may help, as after a shared disk's hiccup."""
    return isinstance(state.data, OSError) and not isinstance(state.data, _LASTING)


# No Prefect cache: the output folder's records say which songs are done. A cached result would still say so after a
# stem was deleted.
@task(
    task_run_name="separate-{song.shown_name}",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=is_passing,
    cache_policy=NO_CACHE,
)
def separate_one(
    song: Song,
    settings: SeparatorSettings,
    options: StemFileOptions,
    planned: PlannedModel | None = None,
    overwrite: bool = False,
) -> Outcome:
    """Run `sepcore.batch.run.separate_song`; raises SongFailed with the outcome of a song that cannot be separated."""
    separator = planned_separator(settings, planned) if planned else shared_separator(settings)
    outcome = separate_song(separator, song, options, unless_done=not overwrite)
    if outcome.status == "failed":
        raise SongFailed(outcome)
    if outcome.status == "done":
        get_run_logger().info(
            "%s: %.0f s separated in %.1f s", printable(song.path), outcome.audio_s, outcome.elapsed_s
        )
    return outcome
