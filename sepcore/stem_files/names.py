"""Where the stems of a song go: Spleeter's filename formats, checked before any work starts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sepcore.errors import ConfigError

DEFAULT_FORMAT = "{filename}/{instrument}.{codec}"
_FIELDS = ("filename", "instrument", "foldername", "codec")


def stem_paths(
    song: Path, out: Path, instruments: Sequence[str], *, filename_format: str = DEFAULT_FORMAT, codec: str = "wav"
) -> dict[str, Path]:
    """The output file of every stem of a song.

    Args:
        song: The song's file; its name without suffix is ``{filename}``, its folder's name ``{foldername}``.
        out: Folder that the format is relative to.
        instruments: Each becomes ``{instrument}``.
        filename_format: Spleeter's ``-f``.
        codec: Becomes ``{codec}``.

    Raises:
        ConfigError: if the format has other fields, leads out of ``out``, or gives two stems one file.
    """
    folder = song.absolute().parent.name
    try:
        names = {
            instrument: filename_format.format(
                filename=song.stem, instrument=instrument, foldername=folder, codec=codec
            )
            for instrument in instruments
        }
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        fields = ", ".join(f"{{{field}}}" for field in _FIELDS)
        raise ConfigError(
            f"filename format {filename_format!r} cannot be used ({error}); the fields are {fields}."
        ) from error
    paths = {instrument: out / name for instrument, name in names.items()}
    if len(set(paths.values())) < len(paths):
        raise ConfigError(f"filename format {filename_format!r} gives every stem one name; put {{instrument}} into it.")
    if any(
        not path.absolute().is_relative_to(out.absolute()) or ".." in path.relative_to(out).parts
        for path in paths.values()
    ):
        raise ConfigError(f"filename format {filename_format!r} leads out of {out}; use names below it.")
    return paths


def check_no_clash(songs: dict[Path, dict[str, Path]]) -> None:
    """Raise ConfigError if two songs would write the same file, or a song over an input.

    Args:
        songs: Each song's stem files, as `stem_paths` gives them.
    """
    # Some file systems take A.wav and a.wav for one file.
    written = Counter(str(path).casefold() for paths in songs.values() for path in paths.values())
    inputs = {song.resolve() for song in songs}
    for song, paths in songs.items():
        for path in paths.values():
            if written[str(path).casefold()] > 1:
                clashing = str(path).casefold()
                others = [
                    str(other)
                    for other, theirs in songs.items()
                    if other != song and clashing in (str(their).casefold() for their in theirs.values())
                ]
                raise ConfigError(
                    f"{song} and {' and '.join(others)} would both write {path}; "
                    "put {filename} and {foldername} into -f, or separate them into different folders."
                )
            if path.resolve() in inputs:
                raise ConfigError(f"{path} is an input and would be overwritten; choose another -o.")
