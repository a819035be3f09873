"""The dataset check's measures, by a task run a song."""

from collections.abc import Iterator, Sequence

from flows.support.song_tasks import finished_tasks
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.manifest import TrackRow
from tasks.dataset import check_song


def measured_songs(
    rows: Sequence[TrackRow], *, mix_name: str, description: str
) -> Iterator[tuple[TrackRow, SongMeasures]]:
    """Measure songs and yield each with its measures, in their order; see `finished_tasks` for the description."""
    # Absolute: the workers of a cluster have another working directory.
    absolute = (row.absolute() for row in rows)
    tasks = finished_tasks(check_song, absolute, mix_name, description=description, total=len(rows))
    return ((row, future.result()) for row, (_, future) in zip(rows, tasks, strict=True))
