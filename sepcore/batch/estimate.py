"""What a batch would take, found out without a network and without writing anything."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sepcore.batch.song import Outcome, Song, failed
from sepcore.errors import AudioDecodeError
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.decoder import probe_sndfile
from sepcore.system.threads import num_cores

# Seconds of audio that a core (AVX-512) separates in one second with 2stems; each stem is another network.
_RATE_OF_A_CORE = 60.0
_STEMS_OF_THAT = 2


def audio_seconds(song: Path, options: StemFileOptions) -> float | None:
    """How many seconds of a song would be separated; None if its file does not state its length.

    Raises:
        AudioDecodeError: the file cannot be read, or ends before the offset.
    """
    total = (probe_sndfile(song) or probe_audio(song)).duration_s
    if total is None:
        return options.duration_s
    rest = total - options.offset_s
    if rest <= 0:
        raise AudioDecodeError(
            f"holds no audio after {options.offset_s:g} s", path=song, hint="Choose a smaller offset."
        )
    return rest if options.duration_s is None else min(rest, options.duration_s)


def expected_rate(num_instruments: int) -> float:
    """A rough estimate of the seconds of audio that this machine's cores separate in one second."""
    return _RATE_OF_A_CORE * num_cores() * _STEMS_OF_THAT / num_instruments


@dataclass
class DryRun:
    """What would become of the songs of a batch."""

    to_separate: dict[Path, tuple[float | None, Path]] = field(default_factory=dict)
    """Each song's `audio_seconds` and the folder of its stems."""
    done: list[Path] = field(default_factory=list)
    unreadable: list[Outcome] = field(default_factory=list)
    """The songs that would fail."""

    @property
    def num_songs(self) -> int:
        """All songs."""
        return len(self.to_separate) + len(self.done) + len(self.unreadable)

    @property
    def audio_s(self) -> float:
        """All audio to separate whose length is known."""
        return sum(seconds or 0.0 for seconds, _ in self.to_separate.values())


def dry_run(songs: Iterable[Song], done: Container[Path], options: StemFileOptions) -> DryRun:
    """Find out what would become of songs; the stems of those in ``done`` exist already."""
    found = DryRun()
    for song in songs:
        if song.path in done:
            found.done.append(song.path)
            continue
        try:
            found.to_separate[song.path] = audio_seconds(song.path, options), song.folders[0]
        except (AudioDecodeError, OSError) as error:
            found.unreadable.append(failed(song.path, error))
    return found
