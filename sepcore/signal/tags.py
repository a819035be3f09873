"""A song's tags and cover, as far as they are true for its stems: read from its file, written into theirs."""

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

# The most that a picture block of flac holds, less some room for its other fields; ffmpeg refuses larger ones.
_MAX_COVER_BYTES = 2**24 - 1024

# True for the song's file or mixture only; in lower case.
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

# Names that every container can hold; in a vorbis comment a name ends at the first "=".
_NAME = re.compile(r"[ -<>-}]+")

_FRONT_COVER = 3
_MIME_TYPES = {"mjpeg": "image/jpeg", "png": "image/png"}
# Containers into which ffmpeg writes a picture as a stream, and those that take it as a tag.
_WITH_PICTURES = frozenset(("mp3", "flac", "ipod", "mp4"))
_WITH_PICTURE_TEXTS = frozenset(("ogg", "opus"))


@dataclass(frozen=True)
class Cover:
    """A picture as it is in a file."""

    image: bytes
    """A JPEG or PNG file."""
    codec: str
    """ffmpeg's name: ``mjpeg`` or ``png``."""


@dataclass(frozen=True)
class SongTags:
    """What a song's file says about the song."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """Non-empty texts by ffmpeg's name of the tag, such as ``title`` and ``artist``, or by the file's own."""
    cover: Cover | None = None
    """The front cover."""

    def __bool__(self) -> bool:
        return bool(self.tags or self.cover)


def read_tags(path: Path) -> SongTags:
    """Read the tags of any file that ffmpeg reads, as far as they are true for its stems.

    Tags that would be false for a stem are left out: ReplayGain and other loudness, the encoder, lengths, iTunes'
    gapless and normalization data, and the container's own. A cover that is not JPEG or PNG becomes a PNG.

    What cannot be read (the file, a tag, the picture) is left out with a logged line; nothing is raised for it.
    """
    try:
        found = json.loads(run_ffprobe("-of", "json", "-show_format", "-show_streams", file_url(path)) or "{}")
        streams = found.get("streams", [])
        if not streams:
            logger.warning("%s: no tags can be read: it has no stream", path)
            return SongTags()
        return SongTags(_true_for_stems(path, found), _read_cover(path, streams))
    except (FfmpegFailed, FfmpegMissing, OSError, ValueError) as error:
        logger.warning("%s: no tags can be read: %s", path, error)
        return SongTags()


def _true_for_stems(path: Path, found: dict[str, Any]) -> dict[str, str]:
    formats = found["format"].get("format_name", "").split(",")
    tags: dict[str, str] = found["format"].get("tags", {})
    if "ogg" in formats:
        # Only ogg has the song's tags in the stream; elsewhere they describe the stream, such as a title "Stereo".
        audio: dict[str, Any] = next((stream for stream in found["streams"] if stream.get("codec_type") == "audio"), {})
        tags = audio.get("tags", {}) | tags
    fold_names = "ogg" in formats or "flac" in formats  # names of vorbis comments ignore case
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
    # A file may also hold the back cover or a picture of the artist.
    front = next((one for one in pictures if one.get("tags", {}).get("comment") == "Cover (front)"), pictures[0])
    codec = front.get("codec_name", "unknown")
    kept = codec if codec in ("mjpeg", "png") else "png"
    picture = ffmpeg.input(file_url(path))[str(front["index"])]
    image = picture.output("pipe:", format="image2pipe", vcodec="copy" if kept == codec else kept)
    # Copying alone would not notice a broken picture; the encoders of the stems would then fail on it.
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


@contextmanager
def tagged_output(
    streams: list[Any], path: Path, tags: SongTags | None, *, container: str, options: Mapping[str, Any]
) -> Iterator[Any]:
    """Yield a graph of ffmpeg-python that writes ``streams`` and ``tags`` into one file.

    The graph can be run inside the block only, since it reads temporary files.

    Args:
        streams: Audio, each from an input of its own, in the order of the inputs.
        path: The output file.
        tags: None or empty: no tags are written.
        container: ffmpeg's name of the format. mp3, flac, ipod, mp4, ogg and opus take the cover.
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
        # The file has no stream, which the question mark allows; ffmpeg-python only knows inputs that name one.
        inputs = [*streams, ffmpeg.input(file_url(listing), format="ffmetadata")["a?"]]
        options = {**options, "map_metadata": len(streams)}
        if tags.cover and container in _WITH_PICTURES:
            # The suffix tells ffmpeg the codec. With "image2" the whole file is one packet, whatever it has inside.
            picture = Path(folder) / ("cover.png" if tags.cover.codec == "png" else "cover.jpg")
            picture.write_bytes(tags.cover.image)
            inputs.append(ffmpeg.input(file_url(picture), format="image2", pattern_type="none")["v"])
            options |= {"c:v": "copy", "disposition:v": "attached_pic", "metadata:s:v": "comment=Cover (front)"}
        yield ffmpeg.output(*inputs, file_url(path), format=container, **options)


def _ffmetadata(tags: Mapping[str, str]) -> bytes:
    """The tags in ffmpeg's own text format."""
    # A bracket at the start of a line could begin a section.
    special = str.maketrans({character: f"\\{character}" for character in "=;#\\\r\n["} | {"\0": ""})
    # A backslash keeps ffmpeg from ending the line, even when it is itself escaped; a zero byte between them does not.
    lines = (
        f"{name.translate(special)}={text.translate(special)}" + ("\0\n" if text.endswith("\\") else "\n")
        for name, text in tags.items()
    )
    return "".join([";FFMETADATA1\n", *lines]).encode(errors="replace")


def _picture_block(cover: Cover) -> str:
    """Flac's picture block (RFC 9639, section 8.8) in base64 for vorbis comments; 0 stands for an unknown size."""
    mime = _MIME_TYPES[cover.codec].encode()
    head = struct.pack(f">II{len(mime)}sI", _FRONT_COVER, len(mime), mime, 0)
    block = head + struct.pack(">5I", 0, 0, 0, 0, len(cover.image)) + cover.image
    return base64.b64encode(block).decode()
