"""The page of one song: its stems to listen to in a browser, opened from the disk."""

import logging
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from sepcore.page.document import build_document, relative_address, shown_name, write_document
from sepcore.page.player import PLAYER_SCRIPTS, PlayerSong, PlayerStem
from sepcore.separation.stem_files.names import DEFAULT_FORMAT, stem_paths
from sepcore.separation.stem_files.options import MP3_RATES_HZ
from sepcore.separation.stem_files.page_links import is_ours
from sepcore.signal.audio_reader import probe_audio, read_blocks
from sepcore.signal.audio_writer import CODECS, AudioWriter, named_errors
from sepcore.system.threads import num_cores

_logger = logging.getLogger(__name__)
# A browser keeps decoded audio in memory: 23 MB per minute of each stem and the mixture at 48 kHz.
PAGE_MINUTES = 10.0

_BITRATES = {1: "64k", 2: "128k"}
_NUM_PEAKS = 1200  # about one per pixel of a wide page
_PEAK_SAMPLES = 256
_BLOCK_SAMPLES = 1024 * _PEAK_SAMPLES


def song_page_path(song: Path, out: Path, *, filename_format: str = DEFAULT_FORMAT, codec: str = "wav") -> Path:
    """The file of a song's page: that of a stem called ``index``, so that no two songs share one.

    ``{filename}/{instrument}.{codec}`` gives ``<song>/index.html``, ``{filename}_{instrument}.{codec}`` gives
    ``<song>_index.html``. Arguments and errors are as in `stem_paths`.
    """
    suffix = next((end for end in (".{codec}", *(f".{one}" for one in CODECS)) if filename_format.endswith(end)), "")
    page_format = f"{filename_format.removesuffix(suffix)}.html"
    return stem_paths(song, out, ["index"], filename_format=page_format, codec=codec)["index"]


def write_song_page(
    path: Path, *, song: Path, stems: Mapping[str, Path], offset_s: float = 0.0, title: str | None = None
) -> None:
    """Write a page with the player of a song, which needs no other file and no network.

    It holds mixture and stems as mp3 of 128 kbit/s (stereo), about 1.3 MB per minute each, and only the first
    `PAGE_MINUTES` of a longer song, which it says. Memory does not depend on the song's length.

    The page is written whole or not at all. It replaces a page of this project; another file is left alone, with a
    warning.

    Args:
        path: The page.
        song: The separated file.
        stems: The file of each stem, at least one, in the order of the page.
        offset_s: Where in the song the stems start.
        title: The song's name; None: its file's name.

    Raises:
        AudioDecodeError: the song or a stem cannot be read.
        AudioEncodeError: the page cannot be written.
    """
    info = probe_audio(next(iter(stems.values())))
    audio = {"sample_rate": mp3_rate(info.sample_rate), "num_channels": min(info.num_channels, 2)}
    limit_s = 60 * PAGE_MINUTES
    stems_s = limit_s if info.duration_s is None else info.duration_s
    page_s = min(stems_s, limit_s)
    with named_errors(path), tempfile.TemporaryDirectory(prefix="stemworks-page-") as folder:
        sources = [(song, offset_s), *((stem, 0.0) for stem in stems.values())]
        files = [Path(folder) / f"{number}.mp3" for number in range(len(sources))]

        def write(file: Path, source: tuple[Path, float]) -> bytes:
            return write_page_audio(file, source[0], **audio, offset_s=source[1], duration_s=page_s)

        with ThreadPoolExecutor(min(num_cores(), len(files))) as threads:
            peaks = list(threads.map(write, files, sources))
        if not is_ours(path):
            _logger.warning("%s: was not written by this program and is kept; move it to get a page there", path)
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


def mp3_rate(sample_rate: int) -> int:
    """The lowest rate of mp3 that keeps all frequencies of this rate, at most 48 kHz."""
    return next((rate for rate in MP3_RATES_HZ if rate >= sample_rate), MP3_RATES_HZ[-1])


def write_page_audio(
    path: Path,
    file: Path,
    *,
    sample_rate: int,
    num_channels: int,
    offset_s: float = 0.0,
    duration_s: float | None = None,
) -> bytes:
    """Write an excerpt of a file as mp3 of 64 kbit/s per channel, in memory that does not depend on its length.

    Arguments and errors are as in `read_blocks` and `AudioWriter`; one or two channels, and a rate of mp3. Returns the
    waveform: the greatest absolute samples of at most 1200 parts of equal length, 255 for full scale.
    """
    blocks = read_blocks(
        file,
        sample_rate=sample_rate,
        num_channels=num_channels,
        offset_s=offset_s,
        duration_s=duration_s,
        block_samples=_BLOCK_SAMPLES,
    )
    bitrate = _BITRATES[num_channels]
    writer = AudioWriter(path, sample_rate=sample_rate, num_channels=num_channels, codec="mp3", bitrate=bitrate)
    peaks: list[float] = []
    with closing(blocks), writer:
        for block in blocks:  # at least one, of at least one sample
            writer.write(block)
            peaks.extend(np.maximum.reduceat(np.abs(block).max(axis=1), np.arange(0, len(block), _PEAK_SAMPLES)))
    num_parts = min(_NUM_PEAKS, len(peaks))
    parts = np.maximum.reduceat(np.array(peaks), np.arange(num_parts) * len(peaks) // num_parts)
    return bytes(np.rint(255 * np.minimum(parts, 1)).astype(np.uint8))
