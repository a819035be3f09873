"""Plan an ingest: which songs go into which split, and which are left out."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Literal

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import SPLITS, SourceSong, Split, recording_name
from sepcore.dataset.ingest.targets import LeftOut, SongParts, refusal, sort_out
from sepcore.errors import DatasetError

SplitScheme = Literal["musdb", "own", "fraction", "artist"]
_SHOWN = 3


def assign_splits(
    songs: Sequence[SourceSong],
    scheme: SplitScheme,
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
) -> dict[SourceSong, Split]:
    """Give each song a split.

    ``musdb`` and ``own`` keep the dataset's own split. ``fraction`` and ``artist`` keep only its test songs, and split
    the others by name, or by whole artists (`SourceSong.artist`): in the order of a hash of ``seed`` and the name, the
    first ones are test songs and the last ones validation songs. So a new song moves few others, and none between
    validation and test. Artists who would exceed a split are skipped.

    Args:
        songs: All songs of the dataset, usable or not: a song that is fixed later keeps its split.
        scheme: How to split.
        validation_fraction: Share of the songs to be split, in [0, 1); above 0 gives at least one song.
        test_fraction: The same; ignored if the dataset has its own test songs.
        seed: Of the order.

    Raises:
        DatasetError: the dataset has no split for some songs; fractions are out of range or leave no training songs.
    """
    if scheme in ("musdb", "own"):
        without = [song.name for song in songs if song.own_split is None]
        if without:
            problem = f"songs outside of folders train, validation and test: {len(without)} ({first(without)})"
            hint = "Move them there, or use --split fraction or artist."
            raise DatasetError(problem, hint=hint)
        return {song: song.own_split for song in songs if song.own_split is not None}
    if not (0 <= validation_fraction < 1 and 0 <= test_fraction < 1 and validation_fraction + test_fraction < 1):
        problem = f"the fractions are {validation_fraction:g} for validation and {test_fraction:g} for test"
        hint = "Each must be 0 or more, and both together less than 1."
        raise DatasetError(problem, hint=hint)
    tested = [song for song in songs if song.own_split == "test"]
    rest = [song for song in songs if song.own_split != "test"]
    groups = _groups(rest, scheme, seed)
    splits: dict[SourceSong, Split] = dict.fromkeys(tested, "test")
    if not tested:
        splits |= dict.fromkeys(_take(groups, test_fraction, len(rest)), "test")
    left = [group for group in reversed(groups) if group[0] not in splits]
    splits |= dict.fromkeys(_take(left, validation_fraction, len(rest)), "validation")
    if all(song in splits for song in rest):
        what = "artists" if scheme == "artist" else "songs"
        hint = "Leave a split out with a fraction of 0."
        raise DatasetError(f"the set has too few {what} to share out ({len(groups)})", hint=hint)
    return {song: splits.get(song, "train") for song in songs}


def artist_overlap(splits: Mapping[SourceSong, Split]) -> dict[tuple[Split, Split], tuple[str, ...]]:
    """The artists, sorted, with songs in both of two splits; pairs of splits without any are left out."""
    artists: dict[Split, dict[str, str]] = {split: {} for split in SPLITS}
    for song, split in splits.items():
        artists[split].setdefault(song.artist.casefold(), song.artist)
    shared = {
        (one, other): tuple(sorted(artists[one][artist] for artist in artists[one].keys() & artists[other].keys()))
        for one, other in combinations(SPLITS, 2)
    }
    return {pair: names for pair, names in shared.items() if names}


def describe_overlap(overlap: Mapping[tuple[Split, Split], Sequence[str]]) -> str:
    """The result of `artist_overlap` in one line."""
    pairs = [f"{one} and {other}: {len(names)} ({first(names)})" for (one, other), names in overlap.items()]
    return f"artists shared by {'; by '.join(pairs)}" if pairs else "no artist is in more than one split"


def first(names: Iterable[str]) -> str:
    """The first few names, separated by commas."""
    names = list(names)
    return ", ".join([*names[:_SHOWN], "…"] if len(names) > _SHOWN else names)


def _groups(songs: Sequence[SourceSong], scheme: SplitScheme, seed: int) -> list[list[SourceSong]]:
    """Songs that must stay together, in an order that depends only on their names and the seed."""
    groups: dict[str, list[SourceSong]] = {}
    for song in songs:
        groups.setdefault(song.artist.casefold() if scheme == "artist" else song.name, []).append(song)
    return [groups[key] for key in sorted(groups, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())]


def _take(groups: Sequence[list[SourceSong]], fraction: float, num_songs: int) -> list[SourceSong]:
    """The first groups, up to a fraction of the songs; the smallest group if all are larger."""
    if not fraction or not groups:
        return []
    wanted = max(1, round(fraction * num_songs))
    taken: list[SourceSong] = []
    for group in groups:
        if len(taken) + len(group) <= wanted:
            taken += group
    return taken or min(groups, key=len)


@dataclass(frozen=True)
class IngestPlan:
    """What an ingest will do."""

    splits: Mapping[SourceSong, Split]  # the songs that a config can use, and their split
    left_out: tuple[LeftOut, ...]  # the songs that it cannot use
    notes: tuple[str, ...]  # lines about shared artists, mixtures to be made, and recordings that no instrument takes


def plan_ingest(
    songs: Sequence[SourceSong],
    config: ModelConfig,
    *,
    split: SplitScheme | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> IngestPlan:
    """Plan the ingest of the songs of `find_dataset`; no file is opened.

    For the splits see `assign_splits`; None is the dataset's own split if it has one, else ``fraction``.

    Raises:
        DatasetError: no song can be used, or they cannot be split in this way.
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
