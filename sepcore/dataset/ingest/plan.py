"""What an ingest will do: which songs go into which split, which are left out, and notes for the user."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.folders import list_folder_songs
from sepcore.dataset.ingest.musdb import list_musdb_songs
from sepcore.dataset.ingest.recording import SourceSong, Split, recording_name
from sepcore.dataset.ingest.splits import SplitScheme, artist_overlap, assign_splits, describe_overlap, first
from sepcore.dataset.ingest.targets import LeftOut, SongParts, refusal, sort_out
from sepcore.errors import DatasetError


@dataclass(frozen=True)
class IngestPlan:
    """What an ingest will do.

    Attributes:
        splits: The songs that a config can use, and their split.
        left_out: The songs that it cannot use.
        notes: A line each about what a user may not expect: shared artists, mixtures that are made, and recordings
            that no instrument takes.
    """

    splits: Mapping[SourceSong, Split]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


LAYOUTS: dict[str, Callable[[Path], list[SourceSong]]] = {"folders": list_folder_songs}
"""What finds the songs of a set other than MUSDB, by the name that ``--layout`` takes."""


def find_dataset(musdb_root: Path | None, stems_root: Path | None, layout: str = "folders") -> list[SourceSong]:
    """The songs of a MUSDB set, or of another one in one of the `LAYOUTS`.

    Raises:
        DatasetError: none or both of the two are given, there is no such layout, or there are no songs.
    """
    if musdb_root is not None and stems_root is None:
        return list_musdb_songs(musdb_root)
    if stems_root is not None and musdb_root is None:
        if layout not in LAYOUTS:
            raise DatasetError(f"there is no layout {layout!r}", hint=f"Choose {' or '.join(LAYOUTS)}.")
        return LAYOUTS[layout](stems_root)
    raise DatasetError(
        "exactly one of --musdb-root and --stems-root is needed",
        hint="Give --musdb-root for MUSDB18 and sets in its layout, --stems-root for any other set.",
    )


def plan_ingest(
    songs: Sequence[SourceSong],
    config: ModelConfig,
    *,
    split: SplitScheme | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> IngestPlan:
    """Plan the ingest of a dataset's songs; no file is opened.

    Args:
        songs: As `find_dataset` gives them.
        config: Names the instruments, what makes them up, and the seed of the split.
        split: None: the dataset's own where it has one, else ``fraction``.
        validation_fraction: See `assign_splits`.
        test_fraction: See `assign_splits`.

    Raises:
        DatasetError: none of the songs can be used, or they cannot be split so.
    """
    usable, left_out = sort_out(songs, config)
    if not usable:
        raise refusal(left_out)
    has_own = any(song.own_split is not None for song in songs)
    splits = assign_splits(
        songs,
        split or ("own" if has_own else "fraction"),
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=config.random_seed,
    )
    splits = {song: split for song, split in splits.items() if song in usable}
    notes = (describe_overlap(artist_overlap(splits)), *_notes(usable, songs, config))
    return IngestPlan(splits, tuple(left_out), notes)


def _notes(usable: Mapping[SourceSong, SongParts], songs: Sequence[SourceSong], config: ModelConfig) -> list[str]:
    notes = []
    made = [song.name for song, found in usable.items() if found.makes_mixture]
    if made:
        notes.append(f"mixtures made from the stems: {len(made)} ({first(made)})")
    unused = Counter(chain.from_iterable(found.unused for found in usable.values()))
    if unused:
        counts = first(f"{name} (songs: {count})" for name, count in unused.most_common())
        notes.append(f"recordings that no instrument takes: {counts}; instrument_mapping can add them to one")
    present = {name for song in songs for name, _ in song.recordings}
    unknown = [part for part in chain(*config.instrument_mapping.values()) if recording_name(part) not in present]
    if unknown:
        notes.append(f"recordings in instrument_mapping that no song has: {', '.join(unknown)}")
    return notes
