"""The picture of a chunk."""

from pathlib import Path

from flows.inspect.options import Options
from flows.support.inputs import PartToCache, parts_to_cache
from flows.support.terminal import say
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.comparison import compare_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.inspection import chunk_row, save_picture
from sepcore.dataset.manifest import TrackRow, scan_manifest
from sepcore.errors import DatasetError


def main(options: Options) -> None:
    """Draw the chunk, and say how it compares."""
    config = options.config()
    (part,) = (part for part in parts_to_cache(config) if part.name == options.part)
    index = read_index(part.folder, config)
    number = chunk_row(index, song=options.song, chunk=options.chunk, row=options.row)
    song, chunk = index.row(number)["song"], read_chunk(index, number)
    comparisons = compare_chunk(chunk, _song(song, part, config, options.data_dir), config)
    # One at a song's end is shorter than the config's.
    end_s = chunk.start_s + chunk.num_samples(config) / config.sample_rate
    title = f"{song} – chunk {chunk.number}, {chunk.start_s:.2f} s to {end_s:.2f} s ({part.name}, row {number})"
    save_picture(options.output, comparisons, config, title=title, start_s=chunk.start_s)
    say([title, *(comparison.summary for comparison in comparisons), f"picture: {options.output}"])


def _song(name: str, part: PartToCache, config: ModelConfig, data_dir: Path | None) -> TrackRow:
    scan = scan_manifest(part.csv, config, data_dir=data_dir)
    found = next((row for _, row in scan.rows if row.name == name), None)
    if found is None:
        raise DatasetError(
            f"does not list {name} with its recordings, although the song is in the cache",
            path=part.csv,
            hint="Put its row back, or cache the songs again.",
        )
    return found
