"""The songs to score and their stems, found and checked before Prefect is imported."""

from dataclasses import dataclass
from pathlib import Path

from flows.support.inputs import check_musdb_folder, songs_of
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import SourceSong, list_musdb_songs
from sepcore.dataset.ingest.targets import MIXTURE, check_instruments
from sepcore.dataset.manifest import TrackRow, manifest_name, manifest_signals
from sepcore.errors import DatasetError
from sepcore.evaluation.scoring_config import config_of_stems, estimated_stems, scoring_config
from sepcore.system.printable import printable

_STEMS = ("vocals", "drums", "bass", "other")


@dataclass(frozen=True)
class EvaluationSet:
    """Songs with their true stems.

    Attributes:
        musdb: MUSDB18 or a set in its layout, whose test songs are scored.
        csv: Or a manifest, whose songs are scored.
        data_dir: Folder of the manifest's relative paths; None: its own.
    """

    __test__ = False  # for pytest

    musdb: Path | None
    csv: Path | None
    data_dir: Path | None = None

    @property
    def name(self) -> str:
        """As the scores name it: the same set has the same name wherever it lies."""
        if self.csv is not None:
            return manifest_name(self.csv)
        assert self.musdb is not None
        return printable(self.musdb.resolve().name)

    def check(self, config: ModelConfig) -> None:
        """Check what can be checked without opening a song."""
        if self.musdb is None:
            self.rows(config)
        else:
            check_musdb_folder(self.musdb, "test")

    def rows(self, config: ModelConfig) -> list[TrackRow]:
        """The songs of the manifest, at least one; DatasetError otherwise."""
        assert self.csv is not None
        return songs_of(self.csv, config, self.data_dir)

    def musdb_songs(self, config: ModelConfig) -> list[SourceSong]:
        """The songs of MUSDB18, at least one, all with what the config needs; DatasetError otherwise."""
        songs = self._musdb_songs()
        check_instruments(songs, config)
        return songs

    def own_config(self, estimates: Path | None) -> ModelConfig:
        """The config of a scoring without a model: all stems (that have estimates), as the songs are recorded.

        Raises:
            DatasetError: nothing can be scored.
            AudioDecodeError: the first song cannot be read.
        """
        if self.csv is not None:
            mix_name, offered = manifest_signals(self.csv)
            stems = offered if estimates is None else estimated_stems(estimates, offered)
            first, *_ = songs_of(self.csv, config_of_stems(stems, mix_name), self.data_dir)
            return scoring_config(stems, first.mixture, mix_name)
        song, *_ = self._musdb_songs()
        stems = _STEMS if estimates is None else estimated_stems(estimates, _offered(song))
        return scoring_config(stems, song.recordings[0][1].path)

    def _musdb_songs(self) -> list[SourceSong]:
        assert self.musdb is not None
        songs = [song for song in list_musdb_songs(self.musdb) if song.own_split == "test"]
        if not songs:
            hint = "Give the songs to score with --csv."
            raise DatasetError("has no songs in its folder test", path=self.musdb, hint=hint)
        return songs


def _offered(song: SourceSong) -> list[str]:
    """Stems that a song has or that are sums of what it has: MUSDB18's own first."""
    names = [name for name, _ in song.recordings if name != MIXTURE]
    return list(dict.fromkeys([*(name for name in _STEMS if name in names), *names, *(name for name, _ in song.sums)]))
