"""A song's tags and cover art, as far as they hold for its stems: read from its file, written into theirs."""

import base64
import json
import logging
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ffmpeg

from sepcore.errors import FfmpegMissing
from sepcore.signal.ffmpeg import FfmpegFailed, FfmpegProcess, file_url, run_ffprobe

logger = logging.getLogger(__name__)

# What a picture block of flac holds, less some room for its other fields; ffmpeg refuses larger ones.
_MAX_COVER_BYTES = 2**24 - 1024

# Of the song's file or of its mixture, and so false for a stem; in lower case.
_ENCODER = (
    "encoder encoded_by encoded-by encodersettings encoder_settings encoder_options encoding encoding_params "
    "coding_history tool tsse tenc isvbr wm/encodingtime wmfsdkversion wmfsdkneeded deviceconformancetemplate"
)
_LENGTHS_AND_PLACES = (
    "duration length tlen tsiz bps number_of_frames number_of_bytes filesize audio_md5 cuesheet time_reference umid "
    "timecode gapless_playback"
)
_LOUDNESS = (
    "averagelevel peakvalue loudness_value loudness_range max_true_peak_level max_momentary_loudness "
    "max_short_term_loudness rgad rva2"
)
_CONTAINER = "major_brand minor_version compatible_brands language handler_name vendor_id creation_time"
_PICTURES = "metadata_block_picture coverart coverartmime"  # carried over as such
_FALSE_FOR_STEMS = frozenset(" ".join((_ENCODER, _LENGTHS_AND_PLACES, _LOUDNESS, _CONTAINER, _PICTURES)).split())
# iTunSMPB is the padding, iTunNORM the loudness, iTunes_CDDB_… the track's length on the disc; an AcoustID is a
# fingerprint of the mixture; private ID3 frames are anything.
_FALSE_PREFIXES = ("replaygain_", "r128_", "mp3gain_", "itun", "acoustid_", "id3v2_priv.", "_statistics", "wm/wmadrc")

# What every container can name; a vorbis comment ends its name at the first "=".
_NAME = re.compile(r"[ -<>-}]+")


@dataclass(frozen=True)
class Cover:
    """A picture as it lies in a file.

    Attributes:
        image: The bytes of a JPEG or PNG file.
        codec: ffmpeg's name of it, ``mjpeg`` or ``png``.
    """

    image: bytes
    codec: str


@dataclass(frozen=True)
class SongTags:
    """What a song's file says about the song.

    Attributes:
        tags: Texts by ffmpeg's name of the tag, such as ``title``, ``artist``, ``album``, ``date``, ``track``; names of
            its own a file may have, too. Non-empty.
        cover: The front cover; None without.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    cover: Cover | None = None

    def __bool__(self) -> bool:
        return bool(self.tags or self.cover)


def read_tags(path: Path) -> SongTags:
    """Read the tags of a file that hold for its stems, too.

    Left out is what would be false for a stem: ReplayGain and other loudness, the encoder, lengths, iTunes' gapless and
    normalisation data, and what belongs to the container. A cover that is no JPEG or PNG becomes a PNG.

    Runs ffprobe once, and ffmpeg once if there is a picture.

    Args:
        path: Anything that ffmpeg reads.

    Returns:
        The tags; none, with a logged line, where the file, a tag or the picture cannot be read. Never raises for them.
    """
    try:
        found = json.loads(run_ffprobe("-of", "json", "-show_format", "-show_streams", file_url(path)) or "{}")
        streams = found.get("streams", [])
        if not streams:
            logger.warning("%s: no tags can be read: it has no stream", path)
            return SongTags()
        return SongTags(_true_for_stems(path, *_raw_tags(found)), _read_cover(path, streams))
    except (FfmpegFailed, FfmpegMissing, OSError, ValueError) as error:
        logger.warning("%s: no tags can be read: %s", path, error)
        return SongTags()


def _raw_tags(found: dict[str, Any]) -> tuple[dict[str, str], bool]:
    """The tags of ffprobe's answer, and whether they are vorbis comments, whose names have no case."""
    names = found["format"].get("format_name", "").split(",")
    tags = found["format"].get("tags", {})
    if "ogg" in names:
        # Of ogg only: elsewhere a stream's tags are of the stream, such as a title "Stereo".
        audio: dict[str, Any] = next((stream for stream in found["streams"] if stream.get("codec_type") == "audio"), {})
        tags = audio.get("tags", {}) | tags
    return tags, not {"ogg", "flac"}.isdisjoint(names)


def _true_for_stems(path: Path, tags: dict[str, str], fold_names: bool) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, text in tags.items():
        folded = name.lower()
        if folded in _FALSE_FOR_STEMS or folded.startswith(_FALSE_PREFIXES) or not text.strip():
            continue
        if not _NAME.fullmatch(name):
            logger.info("%s: the tag %r is left out; not every format can name it", path, name)
            continue
        if folded.startswith("lyrics-"):  # ffmpeg's name of ID3 lyrics holds their language
            name = "lyrics"
        kept[folded if fold_names else name] = text
    return kept


def _read_cover(path: Path, streams: list[dict[str, Any]]) -> Cover | None:
    pictures = [stream for stream in streams if stream.get("disposition", {}).get("attached_pic")]
    if not pictures:
        return None
    # Files may hold the back cover and the artist, too.
    front = next((one for one in pictures if one.get("tags", {}).get("comment") == "Cover (front)"), pictures[0])
    codec = front.get("codec_name", "unknown")
    kept = codec if codec in ("mjpeg", "png") else "png"
    picture = ffmpeg.input(file_url(path))[str(front["index"])]
    image = picture.output("pipe:", format="image2pipe", vcodec="copy" if kept == codec else kept)
    # Copying alone would not see that a picture is broken, until the encoders of the stems stop at it.
    decoded = picture.output("-", format="null")
    with FfmpegProcess(ffmpeg.merge_outputs(image, decoded).global_args("-xerror"), feed=False) as process:
        content = process.pipe.read()
        failure = process.failure()
        complaint = failure or process.last_line()
    if complaint or not 0 < len(content) <= _MAX_COVER_BYTES:
        reason = complaint or f"it has {len(content)} bytes; 1 to {_MAX_COVER_BYTES} can be kept"
        logger.warning("%s: its cover (%s) is left out: %s", path, codec, reason)
        return None
    return Cover(content, kept)


_FRONT_COVER = 3
_MIME_TYPES = {"mjpeg": "image/jpeg", "png": "image/png"}
# ffmpeg's muxers that write a picture stream into the header, and those whose header takes it as text.
_WITH_PICTURES = frozenset(("mp3", "flac", "ipod", "mp4"))
_WITH_PICTURE_TEXTS = frozenset(("ogg", "opus"))


@contextmanager
def tagged_output(
    streams: list[Any], path: Path, tags: SongTags | None, *, container: str, options: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield a graph of ffmpeg-python that writes ``streams`` and ``tags`` into one file.

    The tags and the cover lie in temporary files as long as the block lasts.

    Args:
        streams: Audio, each from an input of its own, in the order of the inputs.
        path: The file that ffmpeg writes.
        tags: What to write beside; None or empty: nothing.
        container: ffmpeg's name of the file's format. mp3, flac, ipod, mp4, ogg and opus take the cover.
        options: Of the output.
    """
    if not tags:
        yield ffmpeg.output(*streams, file_url(path), format=container, **options)
        return
    with tempfile.TemporaryDirectory(prefix="stemworks-") as folder:
        texts = dict(tags.tags)
        if tags.cover and container in _WITH_PICTURE_TEXTS:
            texts["METADATA_BLOCK_PICTURE"] = _picture_block(tags.cover)
        listing = Path(folder) / "tags.txt"
        listing.write_bytes(_ffmetadata(texts))
        # It has no stream, which the question mark allows; named as a stream, it becomes one of the inputs.
        inputs = [*streams, ffmpeg.input(file_url(listing), format="ffmetadata")["a?"]]
        options = {**options, "map_metadata": len(streams)}
        if tags.cover and container in _WITH_PICTURES:
            inputs.append(_picture_input(Path(folder), tags.cover))
            options |= {"c:v": "copy", "disposition:v": "attached_pic", "metadata:s:v": "comment=Cover (front)"}
        yield ffmpeg.output(*inputs, file_url(path), format=container, **options)


def _ffmetadata(tags: Mapping[str, str]) -> bytes:
    """The tags as ffmpeg's own text format has them."""
    # A bracket at a line's start could begin a section.
    special = str.maketrans({character: f"\\{character}" for character in "=;#\\\r\n["} | {"\0": ""})
    # A backslash keeps ffmpeg from ending the line, even when it is itself escaped; a zero byte between them does not.
    lines = (
        f"{name.translate(special)}={text.translate(special)}" + ("\0\n" if text.endswith("\\") else "\n")
        for name, text in tags.items()
    )
    return "".join([";FFMETADATA1\n", *lines]).encode(errors="replace")


def _picture_input(folder: Path, cover: Cover) -> Any:
    # The suffix tells ffmpeg the codec. As "image2" the file is one packet, whatever pictures it has inside.
    file = folder / ("cover.png" if cover.codec == "png" else "cover.jpg")
    file.write_bytes(cover.image)
    return ffmpeg.input(file_url(file), format="image2", pattern_type="none")["v"]


def _picture_block(cover: Cover) -> str:
    """Flac's picture block in base64, as vorbis comments hold it; width, height and colours are 0, for unknown.

    References:
        RFC 9639, "Free Lossless Audio Codec (FLAC)", section 8.8.
    """
    mime = _MIME_TYPES[cover.codec].encode()
    head = struct.pack(f">II{len(mime)}sI", _FRONT_COVER, len(mime), mime, 0)
    block = head + struct.pack(">5I", 0, 0, 0, 0, len(cover.image)) + cover.image
    return base64.b64encode(block).decode()
