"""MUSDB18 and sets in its layout (``.stem.mp4`` or HQ's wav folders) to the three manifests."""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import soundfile
from numpy.typing import NDArray

from sepcore.atomic import remove_leftovers, write_text
from sepcore.config import ModelConfig
from sepcore.dataset.manifest import TrackRow, save_manifest
from sepcore.errors import DatasetError, FfmpegMissing
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.audio_writer import write_audio
from sepcore.signal.ffmpeg import find_program, last_meaningful_line

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_SETUP_FILE = "mus.yaml"
_ORIGIN_FILE = "made_from.json"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MusdbStream:
    """One recording: an audio stream, counted from 0, of a file."""

    path: Path
    stream: int


@dataclass(frozen=True)
class MusdbTrack:
    """One song of a MUSDB set.

    Attributes:
        name: ``Artist - Title``.
        split: ``train``, ``validation`` (musdb's own, lying among the training songs) or ``test``.
        mixture: The mixture's recording.
        targets: What musdb can give of it, such as ``vocals`` and ``accompaniment``: name and recordings to add up.
    """

    name: str
    split: Split
    mixture: MusdbStream
    targets: tuple[tuple[str, tuple[MusdbStream, ...]], ...]


def list_tracks(root: Path) -> list[MusdbTrack]:
    """Find the songs of a MUSDB set, in the order train, validation, test, and by name in each.

    Args:
        root: Folder with ``train`` and ``test``, and in them ``Artist - Title.stem.mp4`` files or folders of wav files.
            A ``mus.yaml`` in it is musdb's setup file, which names the validation tracks; without, MUSDB18's own.

    Raises:
        DatasetError: no such folders, no song in them, or one that musdb cannot read.
    """
    subsets = [subset for subset in ("train", "test") if (root / subset).is_dir()]
    if not subsets:
        raise DatasetError(f"{root}: has no folder train or test; give the folder of MUSDB18 or MUSDB18-HQ.")
    database = _open_database(root, subsets)
    if not database.tracks:
        raise DatasetError(
            f"{root}: no songs in {' and '.join(subsets)}; looked for 'Artist - Title.stem.mp4' files, "
            "and for folders 'Artist - Title' of wav files."
        )
    held_out = set(database.setup["validation_tracks"])
    tracks = [_track(track, held_out) for track in database.tracks]
    return sorted(tracks, key=lambda track: (SPLITS.index(track.split), track.name))


def check_instruments(tracks: Iterable[MusdbTrack], config: ModelConfig) -> None:
    """Raise DatasetError if the config asks for an instrument that a track does not have."""
    for track in tracks:
        present = [name for name, _ in track.targets]
        missing = [name for name in config.instruments if name not in present]
        if missing:
            raise DatasetError(
                f"{track.name}: has no {', '.join(missing)}, which instrument_list asks for; musdb has "
                f"{', '.join(present)}. Change instrument_list, or train from a CSV of your own."
            )


def ingest_track(track: MusdbTrack, out: Path, config: ModelConfig) -> TrackRow:
    """Bring one song to audio files at the config's rate and channels.

    Wav files that have both are used where they lie. Everything else is decoded once to
    ``<out>/audio/<split>/<name>/<instrument>.wav``: 16 bit, as musdb itself decodes; sums of recordings (the
    accompaniment) as 32-bit float, since a sum can exceed full scale. What lies there already is kept as long as the
    song's files and the config's rate and channels are the same.

    Raises:
        DatasetError: an instrument that the song does not have.
        AudioDecodeError: a recording that cannot be decoded.
    """
    check_instruments([track], config)
    targets = dict(track.targets)
    wanted = {"mixture": (track.mixture,), **{name: targets[name] for name in config.instruments}}
    folder = out / "audio" / track.split / track.name
    files = {name: streams[0].path for name, streams in wanted.items() if _usable_in_place(streams, config)}
    to_decode = [name for name in wanted if name not in files]
    if to_decode:
        _discard_outdated(folder, track, config)
    for name in to_decode:
        files[name] = folder / f"{name}.wav"
        if not files[name].is_file():  # it was renamed into place whole
            _decode(wanted[name], files[name], config)
    stems = tuple((name, files[name]) for name in config.instruments)
    return TrackRow(track.name, files["mixture"], stems, soundfile.info(files["mixture"]).duration)


def write_manifests(
    tracks: Sequence[MusdbTrack], rows: Sequence[TrackRow], out: Path, config: ModelConfig
) -> dict[Split, Path]:
    """Write ``train.csv``, ``validation.csv`` and ``test.csv`` into ``out``; one of a split without songs has no rows.

    Args:
        tracks: What `list_tracks` found.
        rows: What `ingest_track` made of each of them, in the same order.
        out: Folder of the manifests.
        config: Names the columns.

    Returns:
        The manifest of each split.
    """
    manifests: dict[Split, Path] = {}
    for split in SPLITS:
        chosen = [row for track, row in zip(tracks, rows, strict=True) if track.split == split]
        manifests[split] = out / f"{split}.csv"
        save_manifest(manifests[split], chosen, config)
        if not chosen:
            logger.warning("%s: the set has no %s songs", manifests[split], split)
    return manifests


def ingest_musdb(
    root: Path, out: Path, config: ModelConfig, *, on_track: Callable[[MusdbTrack], None] | None = None
) -> dict[Split, Path]:
    """Turn a MUSDB set into three manifests, song after song; see `list_tracks`, `ingest_track`, `write_manifests`.

    ``on_track`` is called with each song that is done. A run that was stopped goes on where it was.
    """
    tracks = list_tracks(root)
    check_instruments(tracks, config)
    rows = []
    for track in tracks:
        rows.append(ingest_track(track, out, config))
        if on_track is not None:
            on_track(track)
    return write_manifests(tracks, rows, out, config)


def _open_database(root: Path, subsets: list[str]) -> Any:
    find_program("ffprobe")
    is_wav = not any(any((root / subset).glob("*.stem.mp4")) for subset in subsets)
    setup_file = _SETUP_FILE if (root / _SETUP_FILE).is_file() else None
    try:
        import ffmpeg
        import musdb
    except RuntimeError as error:
        raise FfmpegMissing("musdb looks for ffmpeg and ffprobe on the PATH only; put their folder there.") from error
    try:
        return musdb.DB(root=str(root), setup_file=setup_file, is_wav=is_wav, subsets=subsets)
    except ffmpeg.Error as error:
        reason = last_meaningful_line(error.stderr.decode(errors="replace"))
        raise DatasetError(f"{root}: musdb cannot read a file in it: {reason}. Download it again.") from error


def _track(track: Any, held_out: set[str]) -> MusdbTrack:
    """Our small value of musdb's object."""
    if track.rate is None:
        raise DatasetError(f"{track.path}: there is no such file; every song of the set needs its mixture.")
    split: Split = "test" if track.subset == "test" else "validation" if track.name in held_out else "train"

    def stream(recording: Any) -> MusdbStream:
        return MusdbStream(Path(recording.path).absolute(), 0 if track.is_wav else recording.stem_id)

    targets = tuple((name, tuple(map(stream, target.sources))) for name, target in track.targets.items())
    return MusdbTrack(track.name, split, stream(track), targets)


def _usable_in_place(streams: Sequence[MusdbStream], config: ModelConfig) -> bool:
    if len(streams) > 1 or streams[0].path.suffix != ".wav":
        return False
    try:
        info = soundfile.info(streams[0].path)
    except soundfile.LibsndfileError:
        return False  # ffmpeg decodes it, or says why not
    return (info.samplerate, info.channels) == (config.sample_rate, config.num_channels)


def _discard_outdated(folder: Path, track: MusdbTrack, config: ModelConfig) -> None:
    """Empty the song's folder if its files come from other recordings, or are at another rate."""
    recordings = {track.mixture.path, *(stream.path for _, streams in track.targets for stream in streams)}
    states = {path: path.stat() for path in sorted(recordings)}
    origin = {
        "sample_rate": config.sample_rate,
        "num_channels": config.num_channels,
        "files": [[path.name, state.st_size, state.st_mtime_ns] for path, state in states.items()],
    }
    text = json.dumps(origin, indent=2)
    origin_file = folder / _ORIGIN_FILE
    if not origin_file.is_file() or origin_file.read_text("utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        # Written before the audio: every file that stands beside it is then known to be made from these recordings.
        write_text(origin_file, text)
    remove_leftovers(folder)


def _decode(streams: Sequence[MusdbStream], path: Path, config: ModelConfig) -> None:
    rate, channels = config.sample_rate, config.num_channels
    parts = (read_waveform(part.path, sample_rate=rate, num_channels=channels, stream=part.stream) for part in streams)
    waveform = reduce(_add, parts)
    write_audio(path, waveform, sample_rate=rate, bits=16 if len(streams) == 1 else 32)


def _add(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    shorter = min(len(first), len(second))
    return first[:shorter] + second[:shorter]
