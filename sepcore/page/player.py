"""The player of a song: its mixture and its stems, heard in sync, each muted, soloed and turned down by itself."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sepcore.errors import ConfigError
from sepcore.page.document import text

PLAYER_SCRIPTS = ("voice.js", "waveform.js", "player.js")

_MIME_TYPES = {".mp3": "audio/mpeg", ".flac": "audio/flac", ".wav": "audio/wav"}


@dataclass(frozen=True)
class Picture:
    """A picture over the time of a whole song, without margins: its left edge is the start, its right edge the end.

    Attributes:
        path: A PNG file.
        rows: What its parts of equal height show, from above, e.g. ``("estimate", "reference")``.
        top_hz: Frequency at the upper edge of each part; 0 Hz is at its lower edge.
    """

    path: Path
    rows: tuple[str, ...]
    top_hz: float


@dataclass(frozen=True)
class PlayerStem:
    """A stem of a song.

    Attributes:
        name: Any text.
        versions: Its audio (mp3, flac or wav) by what it is: ``estimate``, and ``reference`` where the truth is known.
        picture: What is shown of it; None: its waveform.
    """

    name: str
    versions: Mapping[str, Path]
    picture: Picture | None = None


@dataclass(frozen=True)
class PlayerSong:
    """What one player plays.

    Attributes:
        name: Of the song, any text.
        duration_s: Length of all its files in seconds.
        mixture: Its audio (mp3, flac or wav).
        stems: In the order in which they are shown.
        note: A line below the name, any text.
        peaks: The waveforms of its files where they are known: the greatest absolute samples of parts of equal length,
            255 for full scale. They are shown at once, all others when the file is decoded.
    """

    name: str
    duration_s: float
    mixture: Path
    stems: Sequence[PlayerStem]
    note: str = ""
    peaks: Mapping[Path, bytes] = field(default_factory=dict)


def file_as_base64(path: Path) -> str:
    """The content of a file as text for a page."""
    return base64.b64encode(path.read_bytes()).decode()


def build_player(
    song: PlayerSong,
    *,
    anchor: str,
    heading: Literal["h1", "h3"] = "h3",
    keys: Literal["player", "page"] = "player",
    embed: Callable[[Path], str] = file_as_base64,
) -> str:
    """The player as HTML, with all audio and pictures in it; a page that shows it needs `PLAYER_SCRIPTS`.

    Mixture, estimates and references start at one moment of one audio clock, and only their loudness changes when
    another is heard. Nothing is decoded before somebody plays it.

    Args:
        song: What to play.
        anchor: The ``id`` of the player in its page; links lead there.
        heading: What the song's name is in its page.
        keys: Where the space bar plays and pauses: in the player, or anywhere in a page that has no other.
        embed: What stands for a file of audio in the page, e.g. `EmbeddedFiles.place`.

    Raises:
        ConfigError: if a file is neither mp3 nor flac nor wav.
        OSError: if a file cannot be read.
    """
    versions = list(dict.fromkeys(version for stem in song.stems for version in stem.versions))

    def audio(path: Path, version: str) -> str:
        return _audio(path, version, embed(path), song.peaks.get(path, b""))

    return "\n".join(
        (
            f'<section class="player" id="{text(anchor)}" data-duration="{song.duration_s:g}" data-keys="{keys}"'
            f' aria-label="{text(song.name)}">',
            f"<{heading}>{text(song.name)}</{heading}>",
            *([f'<p class="note">{text(song.note)}</p>'] if song.note else []),
            _transport(song, versions),
            '<div class="row">',
            '<span class="name">mixture</span>',
            _timeline(None, song.name, is_drawn=song.mixture in song.peaks),
            "</div>",
            '<ul class="stems">',
            *(_stem(stem, audio, song.peaks) for stem in song.stems),
            "</ul>",
            audio(song.mixture, "mixture"),
            "</section>",
        )
    )


def _transport(song: PlayerSong, versions: Sequence[str]) -> str:
    # Where nothing is to be compared, "estimate" is a word too many.
    names = {version: f"{version.capitalize()}s" if len(versions) > 1 else "Stems" for version in versions}
    heard = "".join(
        f'<button type="button" data-heard="{text(version)}" aria-pressed="{str(version == "mixture").lower()}">'
        f"{text(name)}</button>"
        for version, name in {"mixture": "Mixture", **names}.items()
    )
    return "\n".join(
        (
            '<div class="transport">',
            '<button type="button" class="play" aria-label="Play"><span aria-hidden="true"></span></button>',
            f'<input type="range" class="seek" min="0" max="{song.duration_s:g}" step="any" value="0"'
            f' aria-label="Position in {text(song.name)}">',
            '<output class="time" aria-live="off"></output>',
            '<button type="button" class="loop" aria-pressed="false">Loop</button>',
            f'<div class="heard" role="group" aria-label="What is heard">{heard}</div>',
            "</div>",
            '<p class="status" role="status"></p>',
        )
    )


def _stem(stem: PlayerStem, audio: Callable[[Path, str], str], peaks: Mapping[Path, bytes]) -> str:
    name = text(stem.name)
    is_drawn = any(path in peaks for path in stem.versions.values())
    return "\n".join(
        (
            '<li class="row stem">',
            '<div class="controls">',
            f'<span class="name">{name}</span>',
            f'<button type="button" class="mute" aria-pressed="false" aria-label="Mute {name}">Mute</button>',
            f'<button type="button" class="solo" aria-pressed="false" aria-label="Solo {name}">Solo</button>',
            f'<input type="range" class="volume" min="0" max="1" step="0.05" value="1" aria-label="Volume of {name}">',
            "</div>",
            _timeline(stem.picture, stem.name, is_drawn=is_drawn),
            *(audio(path, version) for version, path in stem.versions.items()),
            "</li>",
        )
    )


def _timeline(picture: Picture | None, name: str, *, is_drawn: bool) -> str:
    """What shows the whole song from left to right; a click on it seeks."""
    if picture is None:
        shown = f'<canvas class="waveform" role="img" aria-label="Waveform of {text(name)}"></canvas>'
        return f'<div class="timeline{" drawn" if is_drawn else ""}">{shown}<i class="playhead"></i></div>'
    what = f"Spectrogram of {name}: {', '.join(picture.rows)}; 0 to {picture.top_hz / 1000:g} kHz"
    image = f'<img src="{_data_url(picture.path, "image/png")}" alt="{text(what)}">'
    captions = "".join(f"<span><b>{text(row)}</b>{_ticks(picture.top_hz)}</span>" for row in picture.rows)
    scale = f'<div class="captions" aria-hidden="true">{captions}</div>'
    return f'<div class="timeline picture">{image}{scale}<i class="playhead"></i></div>'


def _ticks(top_hz: float) -> str:
    """Every 5 kHz, or every 1 kHz of a low rate; none at the edges, where it would be cut."""
    step_hz = 5000 if top_hz > 6000 else 1000
    return "".join(
        f'<i style="bottom:{100 * tick_hz / top_hz:.1f}%">{tick_hz // 1000} kHz</i>'
        for tick_hz in range(step_hz, int(0.95 * top_hz), step_hz)
    )


def _audio(path: Path, version: str, content: str, peaks: bytes) -> str:
    """A file that waits in the page to be decoded: a script of a type that no browser runs."""
    mime = _MIME_TYPES.get(path.suffix.lower())
    if mime is None:
        raise ConfigError(
            f"a page plays only {', '.join(suffix[1:] for suffix in _MIME_TYPES)}",
            path=path,
            hint="Write the audio as one of them.",
        )
    waveform = f' data-peaks="{base64.b64encode(peaks).decode()}"' if peaks else ""
    return f'<script type="{mime};base64" data-version="{text(version)}"{waveform}>{content}</script>'


def _data_url(path: Path, mime: str) -> str:
    return f"data:{mime};base64,{file_as_base64(path)}"
