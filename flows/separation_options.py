"""The options of commands that separate folders; nothing slow is imported before they are understood."""

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.support.command import add_params_option

if TYPE_CHECKING:
    from sepcore.separator_settings import SeparatorSettings
    from sepcore.stem_files.options import StemFileOptions

# What the library allows, written once more: its modules take longer to import than a wrong argument may take. A test
# compares them.
CODECS = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "wma", "stem.mp4")
MAX_OVERLAP = 0.9
MAX_SHIFTS = 64
_WITH_BITS = ("wav", "flac")


def add_separation_options(parser: argparse.ArgumentParser) -> None:
    """Spleeter's flags and this project's: where stems go, what is read, how it is separated and written."""
    parser.add_argument(
        "-o", "--output_path", dest="out", type=some_path, required=True, metavar="DIR", help="stems go here"
    )
    add_params_option(parser, default="2stems")
    parser.add_argument(
        "-f",
        "--filename_format",
        default="{filename}/{instrument}.{codec}",
        metavar="FORMAT",
        help="fields {filename} {instrument} {foldername} {codec} (default: %(default)s)",
    )
    _add_reading(parser.add_argument_group("what is read of each song"))
    _add_separating(parser.add_argument_group("how it is separated"))
    _add_writing(parser.add_argument_group("how stems are written"))


def _add_reading(group: Any) -> None:
    group.add_argument("-s", "--offset", type=float, default=0.0, metavar="SECONDS", help="start here (default: 0)")
    group.add_argument("-d", "--duration", type=float, metavar="SECONDS", help="this much (default: to the end)")


def _add_separating(group: Any) -> None:
    group.add_argument("--mwf", action="store_true", default=None, help="multichannel Wiener filtering")
    group.add_argument(
        "--engine",
        default="auto",
        choices=("auto", "openvino", "tensorflow"),
        help="what runs the network (default: auto, the fastest here)",
    )
    group.add_argument(
        "--overlap",
        type=float,
        default=0.0,
        metavar="PART",
        help=f"by which part of a segment neighbours overlap, 0 to {MAX_OVERLAP} (default: 0)",
    )
    group.add_argument(
        "--shifts", type=int, default=1, metavar="N", help="separate N times, shifted, and take the mean (default: 1)"
    )
    group.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16"),
        help="what the network computes in; bfloat16 is faster where the processor has it (default: float32)",
    )


def _add_writing(group: Any) -> None:
    group.add_argument("-c", "--codec", default="wav", choices=CODECS, help="default: wav")
    group.add_argument("-b", "--bitrate", default="128k", help="of lossy codecs (default: 128k)")
    group.add_argument("--bits", type=int, default=16, choices=(16, 24, 32), help="of wav (32: float) and flac")
    group.add_argument(
        "--stems", type=_names, default=(), metavar="NAMES", help="only these, e.g. vocals,drums (default: all)"
    )
    group.add_argument(
        "--residual", action="store_true", help="write also what the chosen stems leave of the song, as residual"
    )
    group.add_argument(
        "--sample-rate", type=_sample_rate, metavar="source|HZ", help="of the stems (default: the model's)"
    )
    group.add_argument("--mono", action="store_true", help="write the stems of a mono song in one channel")
    group.add_argument(
        "--clipping",
        choices=("rescale", "clamp", "none"),
        help="of samples beyond full scale (default: clamp, where the format cannot hold them)",
    )
    group.add_argument("--page", action="store_true", help="write a page to listen to the stems in a browser")


def check_separation_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse values out of range and options that do not go together, with one line."""
    if not 0 <= arguments.offset < math.inf:
        parser.error(f"--offset is {arguments.offset:g}; give 0 or more seconds")
    if arguments.duration is not None and not 0 < arguments.duration < math.inf:
        parser.error(f"--duration is {arguments.duration:g}; give more than 0 seconds")
    if not 0 <= arguments.overlap <= MAX_OVERLAP:
        parser.error(f"--overlap is {arguments.overlap:g}; give 0 to {MAX_OVERLAP}, e.g. 0.5")
    if not 1 <= arguments.shifts <= MAX_SHIFTS:
        parser.error(f"--shifts is {arguments.shifts}; give 1, which is a single separation, to {MAX_SHIFTS}")
    if arguments.bits != 16 and arguments.codec not in _WITH_BITS:
        parser.error(f"--bits is for wav and flac; {arguments.codec} takes --bitrate")
    if arguments.codec == "flac" and arguments.bits == 32:
        parser.error("flac holds 16 or 24 bits; give --bits 24, or -c wav for float")


def some_path(text: str) -> Path:
    """A path that was given: an empty one, as of a variable that is not set, would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a path, or . for this folder")
    return Path(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no stem; give e.g. vocals,drums")
    return names


def _sample_rate(text: str) -> int | str:
    if text == "source":
        return text
    if not re.fullmatch(r"[1-9]\d{3,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither source nor a rate in Hz such as 48000")
    return int(text)


def separator_settings(arguments: argparse.Namespace) -> "SeparatorSettings":
    """What was said of how to separate."""
    from sepcore.separator_settings import SeparatorSettings

    return SeparatorSettings(
        arguments.params,
        mwf=arguments.mwf,
        engine=arguments.engine,
        overlap=arguments.overlap,
        shifts=arguments.shifts,
        precision=arguments.precision,
    )


def stem_file_options(arguments: argparse.Namespace) -> "StemFileOptions":
    """What was said of what to read and how to write."""
    from sepcore.stem_files.options import StemFileOptions

    return StemFileOptions(
        offset_s=arguments.offset,
        duration_s=arguments.duration,
        codec=arguments.codec,
        bitrate=arguments.bitrate,
        bits=arguments.bits,
        stems=arguments.stems,
        residual=arguments.residual,
        sample_rate=arguments.sample_rate,
        keep_mono=arguments.mono,
        clipping=arguments.clipping,
        page=arguments.page,
    )
