"""A song of a batch: its file and where its stems go."""

from dataclasses import dataclass, replace
from pathlib import Path

from sepcore.system.printable import printable


@dataclass(frozen=True)
class Song:
    """One song of a batch: its file and the files of its stems; small, so that it can be sent to another process.

    Attributes:
        path: The song's file.
        out: The output folder of the batch.
        stems: Each stem's name and file, relative to ``out``.
        slot: The stems' files relative to ``out`` with no stem's name in them: what is written for this song with any
            model has this slot, and nothing else has.
        name: By which a list names it: its place below the folder it was found in, without suffix.
        page: The page to listen to it, relative to ``out``, if one is wanted.
    """

    path: Path
    out: Path
    stems: tuple[tuple[str, Path], ...]
    slot: str
    name: str = ""
    page: Path | None = None

    @property
    def shown_name(self) -> str:
        """The name of the song's file, for people and services."""
        return printable(self.path.name)

    @property
    def stem_files(self) -> dict[str, Path]:
        """The file of each stem."""
        return {stem: self.out / file for stem, file in self.stems}

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the stems are, mostly one folder."""
        return tuple(dict.fromkeys(file.parent for file in self.stem_files.values()))

    def absolute(self) -> "Song":
        """The same song for a process that has another working directory."""
        return replace(self, path=self.path.absolute(), out=self.out.absolute())
