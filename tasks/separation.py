"""The task that separates one song of a batch."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.batch import Outcome, Song, separate_song
from sepcore.separate_file import AudioOptions
from sepcore.separator import Separator


@task(task_run_name="separate-{song.path.name}", cache_policy=NO_CACHE)
def separate_one(separator: Separator, song: Song, options: AudioOptions) -> Outcome:
    """Run `sepcore.batch.separate_song`; a song that fails is an outcome, the others go on."""
    outcome = separate_song(separator, song, options)
    get_run_logger().info("%s: %s %s", song.path, outcome.status, outcome.reason)
    return outcome
