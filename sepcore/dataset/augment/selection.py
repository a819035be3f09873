"""Which songs of a checked manifest are varied: those that training can use, and no song of another split."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.findings import SHARED_SONG_CURE
from sepcore.dataset.check.measure import FileMeasures, SongMeasures
from sepcore.dataset.check.report import CheckedSong, CheckReport
from sepcore.dataset.ingest.targets import LeftOut
from sepcore.dataset.manifest import TrackRow, scan_mixtures
from sepcore.system.printable import printable


def held_out_csvs(config: ModelConfig) -> tuple[tuple[str, Path], ...]:
    """The manifests whose songs must stay out of the training: keys of the config, and files."""
    csvs = (("validation_csv", config.validation_csv), ("test_csv", config.test_csv))
    return tuple((key, Path(csv)) for key, csv in csvs if csv is not None)


def held_out_mixtures(config: ModelConfig, data_dir: Path | None) -> list[TrackRow]:
    """The mixtures, without stems, of all songs to validate or score with; of manifests that exist.

    Raises:
        DatasetError: one cannot be read.
    """
    csvs = [csv for _, csv in held_out_csvs(config) if csv.exists()]
    return [mixture for csv in csvs for mixture in scan_mixtures(csv, config, data_dir=data_dir)]


def missing_lines(config: ModelConfig) -> Iterator[str]:
    """A line for each manifest that is not there, as that of a config made elsewhere."""
    for key, csv in held_out_csvs(config):
        if not csv.exists():
            yield f"the config's {key}, {csv}, does not exist: whether its songs are varied cannot be seen"


def choose_songs(
    report: CheckReport, held_out: Iterable[tuple[TrackRow, SongMeasures]]
) -> tuple[list[CheckedSong], list[LeftOut]]:
    """The songs to vary, and those to leave out: what the check leaves out, and what is held out.

    A song is held out if its mixture is the same file as one that is, or has the same bytes or the same samples.

    Args:
        report: Of the check of the training songs.
        held_out: See `held_out_mixtures`, with their measures.
    """
    rows = {mark: row.name for row, (mixture, *_) in held_out for mark in _marks(mixture)}
    left_out = list(_unusable(report))
    songs = []
    for song in report.usable:
        if same := next((rows[mark] for mark in _marks(song.files[0]) if mark in rows), None):
            left_out.append(LeftOut(song.row.name, printable(f"its mixture is that of {same}"), SHARED_SONG_CURE))
        else:
            songs.append(song)
    return songs, left_out


def _unusable(report: CheckReport) -> Iterator[LeftOut]:
    """Each song once, with all reasons."""
    reasons: dict[str, list[str]] = {}
    cures: dict[str, dict[str, None]] = {}
    for found in report.findings():
        if found.finding.severity == "left out":
            song = found.song or f"row {found.number}"
            reasons.setdefault(song, []).append(found.finding.reason)
            cures.setdefault(song, {})[found.finding.cure] = None
    for song, texts in reasons.items():
        yield LeftOut(song, printable("; ".join(texts)), " ".join(cures[song]))


def _marks(mixture: FileMeasures) -> list[str]:
    return [mark for mark in (str(Path(mixture.path).resolve()), mixture.sha256, mixture.audio_hash) if mark]
