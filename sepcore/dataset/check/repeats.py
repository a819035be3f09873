"""Songs that are there twice: in one manifest, or in the one trained on and the one it is judged by."""

from collections.abc import Sequence
from dataclasses import replace

from sepcore.dataset.check.findings import SEVERITIES, SHARED_SONG_CURE, Finding, is_silent
from sepcore.dataset.check.report import CheckedSong, CheckReport

_TWICE = "Take one of the rows out, unless the song shall count twice."


def with_repeats(songs: Sequence[CheckedSong]) -> tuple[CheckedSong, ...]:
    """The songs of one manifest, with a warning for each whose mixture an earlier row has too, whatever its name."""
    first: dict[str, int] = {}
    checked = []
    for song in songs:
        content = _content(song)
        number = first.setdefault(content, song.number) if content else song.number
        repeated = Finding("warning", f"the mixture is the same audio as in row {number}", _TWICE)
        checked.append(song if number == song.number else _with_finding(song, repeated))
    return tuple(checked)


def with_shared_songs(songs: Sequence[CheckedSong], others: Sequence[CheckReport]) -> tuple[CheckedSong, ...]:
    """The songs of one manifest, with a warning for each whose mixture another manifest has too."""
    places: dict[str, str] = {}
    for report in others:
        for song in report.songs:
            if content := _content(song):
                places.setdefault(content, f"row {song.number} of {report.csv}")
    return tuple(
        _with_finding(song, Finding("warning", f"the mixture is the same audio as in {place}", SHARED_SONG_CURE))
        if (place := places.get(_content(song) or ""))
        else song
        for song in songs
    )


def _content(song: CheckedSong) -> str | None:
    """What tells mixtures apart; None for songs that are left out, and for silence, which is not a song."""
    mixture = song.measures.mixture
    return mixture.audio_hash if song.usable and not is_silent(mixture) else None


def _with_finding(song: CheckedSong, finding: Finding) -> CheckedSong:
    findings = sorted([*song.findings, finding], key=lambda found: SEVERITIES.index(found.severity))
    return replace(song, findings=tuple(findings))
