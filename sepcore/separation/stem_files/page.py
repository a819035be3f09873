"""The page of one song: its stems to listen to in a browser, opened from the disk."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.page.document import build_document, relative_address, shown_name, write_document
from sepcore.page.player import PLAYER_SCRIPTS, PlayerSong, PlayerStem
from sepcore.separation.stem_files.names import DEFAULT_FORMAT, stem_paths
from sepcore.separation.stem_files.options import MP3_RATES_HZ
from sepcore.separation.stem_files.page_links import is_ours
from sepcore.signal.audio_reader import probe_audio, read_blocks
from sepcore.signal.audio_writer import CODECS, AudioWriter, named_errors
from sepcore.system.cores import num_cores

_logger = logging.getLogger(__name__)
# What a page plays, a browser holds decoded: 23 MB a minute for each stem and for the mixture at 48 kHz, so that four
# stems take 1.2 GB.
PAGE_MINUTES = 10.0


def song_page_path(song: Path, out: Path, *, filename_format: str = DEFAULT_FORMAT, codec: str = "wav") -> Path:
    """The file of a song's page: where a stem called ``index`` would stand, so that no two songs share one.

    Args:
        song: As of `stem_paths`; so are all others.
        out: Folder that the format is relative to.
        filename_format: ``{filename}/{instrument}.{codec}`` gives ``<song>/index.html``,
            ``{filename}_{instrument}.{codec}`` gives ``<song>_index.html``.
        codec: Becomes ``{codec}`` where that is no suffix.

    Raises:
        ConfigError: as `stem_paths`.
    """
    suffix = next((end for end in (".{codec}", *(f".{one}" for one in CODECS)) if filename_format.endswith(end)), "")
    page_format = f"{filename_format.removesuffix(suffix)}.html"
    return stem_paths(song, out, ["index"], filename_format=page_format, codec=codec)["index"]


def write_song_page(
    path: Path, *, song: Path, stems: Mapping[str, Path], offset_s: float = 0.0, title: str | None = None
) -> None:
    """Write a page with the player of a song, which needs no other file and no network.

    Mixture and stems are in it as mp3 of 128 kbit/s (stereo), about 1.3 MB a minute for each; of a song of more than
    `PAGE_MINUTES` the first of them, and the page says so. Memory does not depend on the song's length.

    Args:
        path: Where to, whole or not at all. A page of this project's that stands there is replaced; another file is
            left alone, which is logged.
        song: What was separated.
        stems: The written file of each stem, in the order in which they are shown, at least one.
        offset_s: Where in the song the stems start, in seconds.
        title: What the song is called; None: its file's name.

    Raises:
        AudioDecodeError: the song or a stem cannot be read.
        AudioEncodeError: the page cannot be written.
        FfmpegMissing: if there is no ffmpeg.
    """
    info = probe_audio(next(iter(stems.values())))
    audio = mp3_format(info.sample_rate, info.num_channels)
    limit_s = 60 * PAGE_MINUTES
    stems_s = limit_s if info.duration_s is None else info.duration_s
    page_s = min(stems_s, limit_s)
    with named_errors(path), tempfile.TemporaryDirectory(prefix="stemworks-page-") as folder:
        sources = [(song, offset_s), *((stem, 0.0) for stem in stems.values())]
        files = [Path(folder) / f"{number}.mp3" for number in range(len(sources))]

        def write(file: Path, source: tuple[Path, float]) -> bytes:
            return write_page_audio(file, source[0], audio, offset_s=source[1], duration_s=page_s)

        with ThreadPoolExecutor(min(num_cores(), len(files))) as threads:
            peaks = list(threads.map(write, files, sources))
        if not is_ours(path):
            _logger.warning("%s: is no page of this program's and is left alone; move it away to get one there", path)
            return
        mixture, *stem_files = files
        player = PlayerSong(
            name=shown_name(title or song.stem),
            duration_s=page_s,
            mixture=mixture,
            stems=[PlayerStem(name, {"estimate": file}) for name, file in zip(stems, stem_files, strict=True)],
            note=_excerpt(offset_s, page_s, stems_s),
            peaks=dict(zip(files, peaks, strict=True)),
        )
        document = build_document(
            Path(__file__).parent,
            "song.html",
            title=player.name,
            scripts=PLAYER_SCRIPTS,
            facts={"song-duration-s": f"{stems_s:.3f}"},
            song=player,
            files=[{"name": shown_name(file.name), "address": relative_address(file, path)} for file in stems.values()],
        )
        write_document(path, document)


def _excerpt(offset_s: float, page_s: float, stems_s: float) -> str:
    if stems_s > page_s:
        return (
            f"Here are the first {PAGE_MINUTES:g} minutes of {clock(stems_s)}"
            f"{f', from {clock(offset_s)} of the song' if offset_s else ''}; the stems' files have all of it."
        )
    return f"From {clock(offset_s)} to {clock(offset_s + page_s)} of the song." if offset_s else ""


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, e.g. ``3:07``, from an hour on ``1:03:07``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


_BITRATES = {1: "64k", 2: "128k"}

_NUM_PEAKS = 1200  # about one a pixel of a wide page
_PEAK_SAMPLES = 256
_BLOCK_SAMPLES = 1024 * _PEAK_SAMPLES


@dataclass(frozen=True)
class AudioFormat:
    """What mp3 files of a page have in common, so that a browser can play them as one.

    Attributes:
        sample_rate: In Hz.
        num_channels: 1 or 2.
    """

    sample_rate: int
    num_channels: int


def mp3_format(sample_rate: int, num_channels: int) -> AudioFormat:
    """The format of mp3 nearest to audio of ``sample_rate`` (in Hz) that loses none of its frequencies below 24 kHz."""
    rates = [rate for rate in MP3_RATES_HZ if rate >= sample_rate]
    return AudioFormat(rates[0] if rates else MP3_RATES_HZ[-1], min(num_channels, 2))


def write_page_audio(
    path: Path, file: Path, audio: AudioFormat, *, offset_s: float = 0.0, duration_s: float | None = None
) -> bytes:
    """Write an excerpt of a file as mp3 of 64 kbit/s a channel, in memory that does not depend on its length.

    Args:
        path: Where to; whole or not at all.
        file: Anything that ffmpeg reads.
        audio: Rate and channels; see `mp3_format`.
        offset_s: Where the excerpt starts, in seconds.
        duration_s: Its length in seconds; None, or beyond the end: to the end.

    Returns:
        The waveform: the greatest absolute samples of at most 1200 parts of equal length, 255 for full scale.

    Raises:
        AudioDecodeError: if the file cannot be read, or has nothing after the offset.
        AudioEncodeError: if the mp3 cannot be written.
        FfmpegMissing: if there is no ffmpeg.
    """
    blocks = read_blocks(
        file,
        sample_rate=audio.sample_rate,
        num_channels=audio.num_channels,
        offset_s=offset_s,
        duration_s=duration_s,
        block_samples=_BLOCK_SAMPLES,
    )
    writer = AudioWriter(
        path,
        sample_rate=audio.sample_rate,
        num_channels=audio.num_channels,
        codec="mp3",
        bitrate=_BITRATES[audio.num_channels],
    )
    peaks: list[float] = []
    with closing(blocks), writer:
        for block in blocks:
            writer.write(block)
            peaks.extend(_peaks(block))
    return _waveform(np.array(peaks))


def _peaks(block: NDArray[np.float32]) -> Iterator[float]:
    absolute = np.abs(block).max(axis=1)
    if len(absolute):
        yield from np.maximum.reduceat(absolute, np.arange(0, len(absolute), _PEAK_SAMPLES))


def _waveform(peaks: NDArray[np.float64]) -> bytes:
    num_parts = min(_NUM_PEAKS, len(peaks))
    starts = np.arange(num_parts) * len(peaks) // max(num_parts, 1)
    parts = np.maximum.reduceat(peaks, starts) if num_parts else peaks
    return bytes(np.rint(255 * np.minimum(parts, 1)).astype(np.uint8))
