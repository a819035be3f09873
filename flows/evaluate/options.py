"""The options of flows.evaluate: the songs to score, and where scores may go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from cyclopts import Parameter
from pydantic import BeforeValidator, NonNegativeInt, model_validator

from flows.support.download import locate_with_bar
from flows.support.extras import PIPELINE
from flows.support.inputs import MUSDB_OF_ENVIRONMENT, MUSDB_PATH, check_ffmpeg, check_musdb_folder, musdb_of
from flows.support.options import COMMAS, DataDir, SomeModel, WithOverrides, names
from flows.support.runners import OnRunner
from sepcore import load_config
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import SourceSong, list_musdb_songs
from sepcore.dataset.ingest.targets import MIXTURE, check_instruments
from sepcore.dataset.manifest import TrackRow, load_manifest, manifest_name, manifest_signals
from sepcore.errors import ConfigError, DatasetError
from sepcore.evaluation.choices import BaselineName, ScoringEngine
from sepcore.evaluation.scoring_config import config_of_stems, estimated_stems, estimated_tracks, scoring_config
from sepcore.system.atomic import check_writable
from sepcore.system.printable import printable
from sepcore.training.run_folder import RunFolder

# While the scores of one song are computed, the next is separated.
WORKERS = 2
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
        rows = load_manifest(self.csv, config, data_dir=self.data_dir)
        if not rows:
            raise DatasetError("lists no songs", path=self.csv, hint="Give a manifest with at least one song.")
        return rows

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
            first, *_ = self.rows(config_of_stems(stems, mix_name))
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
    """Stems that a song has or that are sums of its recordings: MUSDB18's own first."""
    names = [name for name, _ in song.recordings if name != MIXTURE]
    return list(dict.fromkeys([*(name for name in _STEMS if name in names), *names, *(name for name, _ in song.sums)]))


class Options(WithOverrides, OnRunner):
    """museval's scores of a model, or of another program's stems, on MUSDB18's test songs or on the songs of a CSV."""

    needs = PIPELINE

    params: SomeModel = None
    mus_dir: Annotated[Path | None, Parameter(name="--mus_dir")] = None
    """MUSDB18 or MUSDB18-HQ; its test songs are scored (default: MUSDB_PATH)."""
    csv: Path | None = None
    """A manifest; all of its songs are scored."""
    out: Annotated[Path, Parameter(name=("-o", "--output_path"))]
    """Scores and report go here."""
    estimates: Path | None = None
    """Score these stems instead of a model's: DIR/test/<song>/<stem>.wav; -p then only says which stems."""
    baselines: Annotated[tuple[BaselineName, ...], BeforeValidator(names), COMMAS] = ()
    """Score beside it: mixture (untouched, as every stem), irm (the ideal ratio mask), or both: mixture,irm."""
    mwf: bool | None = None
    """Separate by multichannel Wiener filtering (default: as the config says)."""
    engine: ScoringEngine = "fast"
    """How BSSEval is computed: fast (museval's numbers), stable (where museval's depend on rounding, they do not),
    museval (itself)."""
    listen: NonNegativeInt = 3
    """Songs that can be heard in the report, from the worst to the best."""
    data_dir: DataDir = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.mus_dir is not None and self.csv is not None:
            raise ValueError("--mus_dir and --csv each name the songs. Give one of them.")
        if self.params is None and self.estimates is None and not self.baselines:
            raise ValueError("nothing is to be scored. Give -p MODEL, --estimates DIR or --baselines.")
        if self.mwf and (self.estimates is not None or self.params is None):
            raise ValueError("--mwf is for a model that separates. Give -p MODEL without --estimates, or leave it out.")
        return self

    def test_set(self) -> EvaluationSet:
        """The songs to score, by default those of ``MUSDB_PATH``; ConfigError if none are named."""
        musdb = musdb_of(self.mus_dir or MUSDB_OF_ENVIRONMENT, instead=self.csv)
        if musdb is None and self.csv is None:
            raise ConfigError("nothing to score", hint=f"Give --mus_dir DIR or --csv FILE, or set {MUSDB_PATH}.")
        return EvaluationSet(musdb, self.csv, self.data_dir)

    def check(self) -> None:
        """Refuse what can be seen before a song is opened."""
        check_ffmpeg()
        songs = self.test_set()
        if self.estimates is not None:
            estimated_tracks(self.estimates)
        if self.params is None:
            config = self.changed(songs.own_config(self.estimates))
        elif self.estimates is not None:
            config = self.changed(load_config(self.params))  # without its weights
        else:
            config = self.changed(locate_with_bar(self.params).config)
        songs.check(config)
        check_place(self.out, self.params, self.estimates)
        check_writable(self.out, "-o")
        self.check_scheduler()


def scored_run(params: str | None, estimates: Path | None) -> RunFolder | None:
    """The finished run whose model is scored, if it is a run's."""
    if params is None or estimates is not None or RunFolder(Path(params)).finished() is None:
        return None
    return RunFolder(Path(params))


def check_place(out: Path, params: str | None, estimates: Path | None) -> None:
    """Refuse a folder ``out`` that holds the scores of a run, unless that run's model is scored."""
    out = out.resolve()
    if _is_run(out):
        hint = f"Give -o {out / 'evaluation'} for the run's own scores, or choose another folder."
        raise ConfigError("is a run's folder", path=out, hint=hint)
    scored = Path(params).resolve() if params is not None and estimates is None else None
    if is_evaluation_of(out, RunFolder(out.parent)) and _is_run(out.parent) and scored != out.parent:
        raise ConfigError(f"is for the scores of the run {out.parent}", path=out, hint="Choose another folder with -o.")


def is_evaluation_of(out: Path, run: RunFolder) -> bool:
    """Whether a folder is the one for the run's own scores."""
    return out.resolve() == run.evaluation.resolve()


def _is_run(folder: Path) -> bool:
    run = RunFolder(folder)
    return (folder / "config.json").is_file() and (run.finished() is not None or run.checkpoints.is_dir())
