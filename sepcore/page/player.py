"""The player of a song: mixture and stems play in sync, and each can be muted, soloed and turned down.

Template ``player.html``. Mixture, estimates and references start together on one audio clock; switching between them
only changes their loudness. Nothing is decoded before somebody presses play.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sepcore.errors import ConfigError

PLAYER_SCRIPTS = ("voice.js", "waveform.js", "player.js")

_MIME_TYPES = {".mp3": "audio/mpeg", ".flac": "audio/flac", ".wav": "audio/wav"}


@dataclass(frozen=True)
class Picture:
    """A picture over the time of a whole song, without margins.

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
        versions: Its audio (mp3, flac or wav): ``estimate``, and ``reference`` if the true stem is known.
        picture: Shown instead of its waveform.
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
        peaks: Waveforms to show before the file is decoded: peaks of parts of equal length, 255 for full scale.
    """

    name: str
    duration_s: float
    mixture: Path
    stems: Sequence[PlayerStem]
    note: str = ""
    peaks: Mapping[Path, bytes] = field(default_factory=dict)

    @property
    def heard(self) -> dict[str, str]:
        """The versions to hear, the mixture first, and the names of their buttons."""
        versions = dict.fromkeys(version for stem in self.stems for version in stem.versions)
        # With nothing to compare, "Estimates" would only confuse.
        names = {version: f"{version.capitalize()}s" if len(versions) > 1 else "Stems" for version in versions}
        return {"mixture": "Mixture", **names}

    def peaks_as_base64(self, path: Path) -> str:
        """The waveform of a file, for the page."""
        return base64.b64encode(self.peaks[path]).decode()

    @staticmethod
    def mime_type(path: Path) -> str:
        """The type of an audio file; ConfigError if browsers do not play it."""
        mime_type = _MIME_TYPES.get(path.suffix.lower())
        if mime_type is None:
            raise ConfigError(
                f"a page plays only {', '.join(suffix[1:] for suffix in _MIME_TYPES)}",
                path=path,
                hint="Write the audio as one of them.",
            )
        return mime_type
