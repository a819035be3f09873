"""The names of a song's stem files: Spleeter's filename formats, checked before any work starts."""

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path, PurePath
from string import Formatter

from sepcore.errors import ConfigError
from sepcore.separation.stem_files.options import STEM_MP4, StemFileOptions
from sepcore.separation.stem_files.stem_mp4 import MIXTURE
from sepcore.system.printable import printable

DEFAULT_FORMAT = "{filename}/{instrument}.{codec}"
RESIDUAL = "residual"
"""The song minus the chosen stems."""
ALL_STEMS = "stems"
"""The name of the one file that all stems share."""
_SHARED_FORMAT = "{filename}.{codec}"
_FIELDS = ("filename", "instrument", "foldername", "codec")


def chosen_stems(instruments: Sequence[str], options: StemFileOptions) -> tuple[str, ...]:
    """Names of the files that a song gets, for `stem_paths`.

    Returns:
        The chosen ones of the model's instruments, in its order, and then `RESIDUAL` if it is wanted; for a
        ``stem.mp4`` only `ALL_STEMS`.

    Raises:
        ConfigError: the model does not have a chosen instrument; the residual would be silent, or the model has an
            instrument of that name; for a ``stem.mp4``, the model has an instrument `MIXTURE`.
    """
    unknown = [name for name in options.stems if name not in instruments]
    if unknown:
        raise ConfigError(f"stems: the model has no {', '.join(unknown)}", hint=f"It has {', '.join(instruments)}.")
    if options.codec == STEM_MP4 and MIXTURE in instruments:
        raise ConfigError(
            f"codec is {STEM_MP4}, whose first stream is the song as {MIXTURE}, but the model has an instrument of "
            "that name",
            hint="Choose another codec, e.g. m4a.",
        )
    stems = tuple(name for name in instruments if name in options.stems or not options.stems)
    if options.residual:
        if RESIDUAL in instruments:
            raise ConfigError(
                f"the model has an instrument called {RESIDUAL}", hint=f"Choose it with stems {RESIDUAL}."
            )
        if len(stems) == len(instruments):
            raise ConfigError(
                "residual: all stems are written, so nothing is left", hint=f"Choose some of {', '.join(instruments)}."
            )
        stems = (*stems, RESIDUAL)
    return (ALL_STEMS,) if options.codec == STEM_MP4 else stems


def stem_paths(
    song: Path, out: Path, instruments: Sequence[str], *, filename_format: str = DEFAULT_FORMAT, codec: str = "wav"
) -> dict[str, Path]:
    """The output file of every stem of a song.

    ``filename_format`` is Spleeter's ``-f``, relative to ``out``. In it, ``{filename}`` and ``{foldername}`` are the
    song's name without suffix and its folder's name, ``{instrument}`` one of ``instruments``, and ``{codec}`` is
    ``codec``. A ``stem.mp4`` holds all stems: by default it has the song's name.

    Raises:
        ConfigError: the format has other fields, leads out of ``out``, or gives two stems the same file.
    """
    folder = song.absolute().parent.name
    _check_fields(filename_format)
    if codec == STEM_MP4 and filename_format == DEFAULT_FORMAT:
        filename_format = _SHARED_FORMAT
    try:
        names = {
            name: filename_format.format(filename=song.stem, instrument=name, foldername=folder, codec=codec)
            for name in instruments
        }
    except (ValueError, MemoryError, OverflowError) as error:
        raise _unusable(filename_format, str(error) or "too long") from error
    if len({out / name for name in names.values()}) < len(names):
        raise ConfigError(
            f"filename format {filename_format!r} gives every stem the same name", hint="Put {instrument} into it."
        )
    return {instrument: _below(out, name, filename_format) for instrument, name in names.items()}


def _below(out: Path, name: str, filename_format: str) -> Path:
    """The file of a formatted name, which may be an absolute path below ``out``."""
    path = PurePath(name)
    if not path.is_absolute() and ".." not in path.parts:
        return out / name
    if ".." not in path.parts:
        for folder in (out.absolute(), Path(os.path.normpath(out.absolute())), out.resolve()):
            if path.is_relative_to(folder):
                return out / path.relative_to(folder)
    raise ConfigError(
        f"filename format {filename_format!r} leads out of {printable(out)}", hint="Use names below that folder."
    )


@lru_cache(maxsize=16)
def _check_fields(filename_format: str) -> None:
    """Refuse all but the plain fields, also an attribute or an element of one."""
    try:
        fields = [field for _, field, _, _ in Formatter().parse(filename_format) if field is not None]
    except ValueError as error:
        raise _unusable(filename_format, str(error)) from error
    for field in fields:
        if field not in _FIELDS:
            raise _unusable(filename_format, repr(field))


def _unusable(filename_format: str, reason: str) -> ConfigError:
    fields = ", ".join(f"{{{field}}}" for field in _FIELDS)
    return ConfigError(
        f"filename format {filename_format!r} cannot be used ({reason})", hint=f"The fields are {fields}."
    )


def check_no_clash(songs: dict[Path, dict[str, Path]]) -> None:
    """Raise ConfigError if the files of two songs, given as from `stem_paths`, are the same, or one is an input."""
    # On some file systems A.wav and a.wav are the same file.
    written = Counter(str(path).casefold() for paths in songs.values() for path in paths.values())

    @cache  # a batch may have many thousands of songs
    def resolved(folder: Path) -> Path:
        return folder.resolve()

    def real(path: Path) -> Path:
        place = resolved(path.parent) / path.name
        return place.resolve() if place.is_symlink() else place

    inputs = {real(song) for song in songs}
    for song, paths in songs.items():
        for path in paths.values():
            if written[clashing := str(path).casefold()] > 1:
                others = [
                    printable(other)
                    for other, theirs in songs.items()
                    if other != song and clashing in (str(their).casefold() for their in theirs.values())
                ]
                rename = any(other.with_suffix("") == song.with_suffix("") for other in songs if other != song)
                hint = "No -f tells them apart: rename one" if rename else "Put {filename} and {foldername} into -f"
                raise ConfigError(
                    f"{printable(song)} and {' and '.join(others)} would both write {printable(path)}",
                    hint=f"{hint}, or separate them into different folders.",
                )
            if real(path) in inputs:
                raise ConfigError(
                    "is an input and would be overwritten", path=path, hint="Choose another folder with -o."
                )
