"""What has an ffmpeg write a song's tags and cover into a file."""

import base64
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ffmpeg

from sepcore.signal.ffmpeg import file_url
from sepcore.signal.tags import Cover, SongTags

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
