"""Find the recordings of a song that add up to its mixture and to each instrument of a config."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import Recording, SourceSong, recording_name
from sepcore.errors import ConfigError, DatasetError
from sepcore.system.printable import first_few, printable

MIXTURE = "mixture"
"""What the mixture's file is called."""
_MIXTURE_NAMES = (MIXTURE, "mix")
_ACCOMPANIMENT, _VOCALS = "accompaniment", "vocals"
_SHOWN_SONGS = 3
_CURE_MISSING = (
    "Name the recordings like this (a silent one if the song has none), or list in instrument_mapping which recordings "
    "make it up."
)
_CURE_TWICE = "Keep one of them."


@dataclass(frozen=True)
class SongParts:
    """The recordings of a song that a config needs."""

    # The recordings that add up to `MIXTURE`, then to each instrument in the config's order.
    parts: Mapping[str, tuple[Recording, ...]]
    makes_mixture: bool  # whether the song has no mixture of its own
    unused: tuple[str, ...]  # names of the stems that are in no instrument


@dataclass(frozen=True)
class LeftOut:
    """A song that cannot be used, why, and how to fix it."""

    song: str
    reason: str
    cure: str = ""


def song_parts(song: SourceSong, config: ModelConfig) -> SongParts | LeftOut:
    """Find the recordings of a song that a config needs.

    An instrument is made of the first of these that the song has:

    1. the recordings that ``instrument_mapping`` names for it, as far as they exist;
    2. the recording of its name;
    3. for ``accompaniment`` beside other instruments: all stems that these do not use;
    4. the dataset's own sum of that name, such as musdb's ``linear_mixture``.

    A song that has none of these is left out (a missing recording does not mean silence), and so is a song that has a
    needed recording twice.

    A missing mixture is the sum of all stems, or of ``vocals`` and ``accompaniment`` if there are both: other stems are
    in the accompaniment already.

    Raises:
        ConfigError: see `check_mixture_name`.
    """
    check_mixture_name(config)
    mixture_names = [recording_name(name) for name in (config.mix_name, *_MIXTURE_NAMES)]
    by_name: dict[str, list[Recording]] = {}
    for name, recording in song.recordings:
        by_name.setdefault(name, []).append(recording)
    stems = [name for name in by_name if name not in mixture_names]
    chosen = _instruments(stems, song, config)
    if missing := [instrument for instrument, names in chosen.items() if not names]:
        reason = f"has no {', '.join(missing)} (it has {printable(', '.join(stems)) or 'no stems'})"
        return LeftOut(song.name, reason, _CURE_MISSING)
    own_mixture = next((name for name in mixture_names if name in by_name), None)
    all_stems = [_VOCALS, _ACCOMPANIMENT] if {_VOCALS, _ACCOMPANIMENT} <= set(stems) else stems
    mixture = [own_mixture] if own_mixture else all_stems
    used = {name for names in chosen.values() for name in names}
    if twice := [name for name in (*mixture, *used) if len(by_name[name]) > 1]:
        files = " and ".join(recording.path.name for recording in by_name[twice[0]])
        return LeftOut(song.name, printable(f"has {twice[0]} twice: {files}"), _CURE_TWICE)
    return SongParts(
        parts={
            what: tuple(by_name[name][0] for name in names) for what, names in ({MIXTURE: mixture} | chosen).items()
        },
        makes_mixture=own_mixture is None,
        unused=tuple(name for name in stems if name not in used),
    )


def check_mixture_name(config: ModelConfig) -> None:
    """Raise ConfigError if an instrument's file would be called as the mixture's, on any file system."""
    if same := [name for name in config.instruments if name.casefold() == MIXTURE]:
        problem = f"instrument_list has {same[0]!r}, the name of the mixture's file"
        raise ConfigError(problem, hint="Rename the instrument.")


def sort_out(songs: Iterable[SourceSong], config: ModelConfig) -> tuple[dict[SourceSong, SongParts], list[LeftOut]]:
    """The parts of each song that a config can use, and the songs that it cannot use."""
    found = {song: song_parts(song, config) for song in songs}
    usable = {song: parts for song, parts in found.items() if isinstance(parts, SongParts)}
    return usable, [parts for parts in found.values() if isinstance(parts, LeftOut)]


def check_instruments(songs: Iterable[SourceSong], config: ModelConfig) -> None:
    """Raise the `refusal` of the songs that a config cannot use, if any."""
    _, left_out = sort_out(songs, config)
    if left_out:
        raise refusal(left_out)


def refusal(left_out: Sequence[LeftOut]) -> DatasetError:
    """An error that names the first songs, what is wrong with them and how to fix it."""
    songs = first_few([f"{song.song} {song.reason}" for song in left_out], _SHOWN_SONGS, separator="; ")
    return DatasetError(f"songs that cannot be used: {songs}", hint=left_out[0].cure)


def _instruments(stems: Sequence[str], song: SourceSong, config: ModelConfig) -> dict[str, list[str]]:
    sums = dict(song.sums)
    chosen: dict[str, list[str]] = {}
    claimed: set[str] = set()
    for instrument in config.instruments:
        name = recording_name(instrument)
        mapped = config.instrument_mapping.get(instrument, (instrument,))
        chosen[instrument] = [part for part in map(recording_name, mapped) if part in stems]
        claimed.update(chosen[instrument])
        if not chosen[instrument] and instrument not in config.instrument_mapping:
            # Not claimed: beside a sum of all stems there can still be an accompaniment.
            chosen[instrument] = [part for part in sums.get(name, ()) if part in stems]
    has_own = _ACCOMPANIMENT in (*config.instrument_mapping, *stems)
    if _ACCOMPANIMENT in chosen and not has_own and len(config.instruments) > 1:
        chosen[_ACCOMPANIMENT] = [name for name in stems if name not in claimed]
    return chosen
