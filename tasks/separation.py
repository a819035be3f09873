"""The task that separates one song of a batch."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.batch.plan import Song
from sepcore.batch.run import Outcome, separate_song
from sepcore.separator import Separator
from sepcore.stem_files.options import StemFileOptions


@task(task_run_name="separate-{song.path.name}", cache_policy=NO_CACHE)
def separate_one(separator: Separator, song: Song, options: StemFileOptions) -> Outcome:
    """Run `sepcore.batch.run.separate_song`; a song that fails is an outcome, the others go on."""
    outcome = separate_song(separator, song, options)
    get_run_logger().info("%s: %s %s", song.path, outcome.status, outcome.reason)
    return outcome
