"""A picture of one cached chunk: its spectrograms beside those that the recordings give now."""

import argparse
from pathlib import Path

from flows.support.command import add_data_option, add_params_option, command_parser, run_command, set_up_process
from flows.support.inputs import PartToCache, parts_to_cache
from flows.support.terminal import say
from sepcore import load_config
from sepcore.config import ModelConfig
from sepcore.dataset.manifest import TrackRow, scan_manifest
from sepcore.errors import DatasetError


def _arguments() -> argparse.Namespace:
    parser = command_parser("inspect", __doc__)
    add_params_option(parser)
    add_data_option(parser)
    parser.add_argument(
        "--part",
        choices=("training", "validation"),
        default="training",
        help="whose cache (default: training)",
    )
    parser.add_argument("--song", metavar="NAME", help="the song, as the index names it (default: the first)")
    parser.add_argument("--chunk", type=int, metavar="N", help="with --song: which of its chunks, from 0")
    parser.add_argument("--row", type=int, metavar="N", help="instead of --song: a row of the index, from 0")
    parser.add_argument(
        "-o", "--output", type=_png, required=True, metavar="FILE", help="the picture: a file whose name ends in .png"
    )
    arguments = parser.parse_args()
    if arguments.row is not None and arguments.song is not None:
        parser.error("--row and --song each name a chunk; give one of them")
    if arguments.chunk is not None and arguments.song is None:
        parser.error("--chunk is one of a song's; add --song")
    return arguments


def _png(text: str) -> Path:
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .png, which is what the picture is")
    return Path(text)


def _main(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.params)
    (part,) = (part for part in parts_to_cache(config) if part.name == arguments.part)

    from sepcore.dataset.cache.comparison import compare_chunk
    from sepcore.dataset.cache.index import read_index
    from sepcore.dataset.cache.lookup import chunk_row
    from sepcore.dataset.cache.picture import save_picture
    from sepcore.dataset.cache.verify import read_chunk

    index = read_index(part.folder, config)
    number = chunk_row(index, song=arguments.song, chunk=arguments.chunk, row=arguments.row)
    record = index.record(number)
    chunk = read_chunk(part.folder, record)
    comparisons = compare_chunk(chunk, _song(record.song, part, config, arguments.data), config)
    # One at a song's end is shorter than the config's.
    end_s = record.start_s + ((record.num_frames - 1) * config.hop_length + config.frame_length) / config.sample_rate
    title = f"{record.song} – chunk {record.chunk}, {record.start_s:.2f} s to {end_s:.2f} s ({part.name}, row {number})"
    save_picture(arguments.output, comparisons, config, title=title, start_s=record.start_s)
    say([title, *(comparison.summary for comparison in comparisons), f"picture: {arguments.output}"])


def _song(name: str, part: PartToCache, config: ModelConfig, data_dir: Path | None) -> TrackRow:
    scan = scan_manifest(part.csv, config, data_dir=data_dir)
    found = next((row for _, row in scan.rows if row.name == name), None)
    if found is None:
        raise DatasetError(
            f"{name}: is in the cache, but {part.csv} does not list it with its recordings; "
            "bring its row back, or cache the songs again."
        )
    return found


if __name__ == "__main__":
    ARGUMENTS = _arguments()
    set_up_process(ARGUMENTS.verbose)
    run_command(lambda: _main(ARGUMENTS))
