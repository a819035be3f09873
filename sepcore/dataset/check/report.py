"""The result of a check: the findings about each row of a manifest, and their summary."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sepcore.dataset.check.findings import SEVERITIES, SHARED_SONG_CURE, Finding, is_silent
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.csv_rows import RowFault
from sepcore.dataset.manifest import TrackRow

_SHOWN_LEFT_OUT = 10
_TWICE = "Take one of the rows out, unless the song should count twice."


@dataclass(frozen=True, slots=True)
class CheckedSong:
    """A row of a manifest whose files were measured."""

    number: int  # the row; the first song is row 1
    row: TrackRow
    files: SongMeasures
    findings: tuple[Finding, ...]  # the most severe first

    @property
    def usable(self) -> bool:
        """Whether it can be used for what it was checked for: training or scoring."""
        return not any(finding.severity == "left out" for finding in self.findings)


@dataclass(frozen=True)
class RowFinding:
    """A finding and the row that it is about; ``song`` is "" for a row whose files were not found."""

    number: int
    song: str
    finding: Finding


@dataclass(frozen=True)
class CheckReport:
    """All rows of a manifest."""

    csv: Path
    path: Path  # the Parquet report
    songs: tuple[CheckedSong, ...]  # the rows whose files exist, in their order
    faults: tuple[RowFault, ...]  # what is wrong with the other rows

    @property
    def usable(self) -> tuple[CheckedSong, ...]:
        """The songs to work with."""
        return tuple(song for song in self.songs if song.usable)

    @property
    def num_rows(self) -> int:
        """Rows of the manifest."""
        return len(self.songs) + len({fault.number for fault in self.faults})

    def findings(self) -> Iterator[RowFinding]:
        """All findings, first those about rows whose files were not found."""
        for fault in self.faults:
            yield RowFinding(fault.number, "", Finding("left out", fault.reason, fault.cure))
        for song in self.songs:
            for finding in song.findings:
                yield RowFinding(song.number, song.row.name, finding)

    def summary_line(self) -> str:
        """How many rows there are, can be used and are left out, hours of audio, and the report's path."""
        usable = self.usable
        hours = sum(song.files[0].duration_s for song in usable) / 3600
        return (
            f"{self.csv}: {self.num_rows} rows, {len(usable)} usable, {self.num_rows - len(usable)} left out, "
            f"{hours:.2f} h of audio; report: {self.path}"
        )

    def summary_lines(self) -> list[str]:
        """`summary_line`, the first rows that are left out, and how many songs another manifest has."""
        left_out = [found for found in self.findings() if found.finding.severity == "left out"]
        lines = [
            f"  row {found.number}{f' ({found.song})' if found.song else ''} is left out: "
            f"{found.finding.reason}. {found.finding.cure}"
            for found in left_out[:_SHOWN_LEFT_OUT]
        ]
        if len(left_out) > _SHOWN_LEFT_OUT:
            lines.append(f"  and {len(left_out) - _SHOWN_LEFT_OUT} more")
        shared = [found for found in self.findings() if found.finding.cure == SHARED_SONG_CURE]
        if shared:
            lines.append(
                f"  songs that another CSV has, too: {len(shared)} (row {shared[0].number}: {shared[0].finding})"
            )
        return [self.summary_line(), *lines]


def with_repeats(songs: Sequence[CheckedSong], others: Sequence[CheckReport]) -> tuple[CheckedSong, ...]:
    """Add a warning to each song whose mixture is also in an earlier row or in another manifest, whatever its name."""
    first: dict[str, int] = {}
    elsewhere: dict[str, str] = {}
    for report in others:
        for song in report.songs:
            elsewhere.setdefault(_content(song), f"row {song.number} of {report.csv}")
    checked = []
    for song in songs:
        findings, content = list(song.findings), _content(song)
        if content and (number := first.setdefault(content, song.number)) != song.number:
            findings.append(Finding("warning", f"the mixture is the same audio as in row {number}", _TWICE))
        if content and content in elsewhere:
            reason = f"the mixture is the same audio as in {elsewhere[content]}"
            findings.append(Finding("warning", reason, SHARED_SONG_CURE))
        if len(findings) > len(song.findings):
            findings.sort(key=lambda found: SEVERITIES.index(found.severity))
        checked.append(replace(song, findings=tuple(findings)))
    return tuple(checked)


def _content(song: CheckedSong) -> str:
    """The hash of the mixture's audio; "" for songs that are left out and for silence, which may be repeated."""
    mixture = song.files[0]
    return mixture.audio_hash if song.usable and not is_silent(mixture) else ""


def report_path(csv: Path) -> Path:
    """The default path of a manifest's report: ``train.csv`` → ``train.check.parquet``."""
    return csv.with_name(f"{csv.stem}.check.parquet")


def place_of_report(csv: Path, *fallbacks: Path) -> Path:
    """Beside the manifest (`report_path`) if that is writable, else in the first writable folder of ``fallbacks``.

    If none is writable, beside the manifest: a report that is up to date need not be written.
    """
    beside = report_path(csv)
    if os.access(beside.parent, os.W_OK):
        return beside
    return next((folder / beside.name for folder in fallbacks if _is_writable(folder)), beside)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
