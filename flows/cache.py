"""Training and validation songs to shards of spectrograms."""

import argparse
from pathlib import Path

from flows.command import add_data_option, add_params_option, check_first, command_parser, run_command, set_up_process
from flows.inputs import check_ffmpeg, songs_to_cache
from sepcore import load_config


def _arguments() -> argparse.Namespace:
    parser = command_parser("cache", __doc__)
    add_params_option(parser)
    add_data_option(parser)
    arguments = parser.parse_args()
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    check_ffmpeg()
    songs_to_cache(load_config(arguments.params), data_dir=arguments.data)


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow, unmapped  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from flows.progress import results, say  # noqa: E402
from sepcore.dataset.cache.index import build_index  # noqa: E402
from tasks.dataset import cache_song  # noqa: E402


@flow(name="cache", task_runner=ThreadPoolTaskRunner(max_workers=2))
def cache(
    params: str, train_csv: Path | None = None, validation_csv: Path | None = None, data_dir: Path | None = None
) -> dict[str, Path]:
    """Cache the chunks of both manifests' songs; those whose shards are there already are left as they are.

    Args:
        params: What ``-p`` takes.
        train_csv: Instead of the config's.
        validation_csv: Instead of the config's.
        data_dir: Folder of the manifests' relative paths.

    Returns:
        The folders of shards: ``training`` and ``validation``.
    """
    config = load_config(params)
    parts = songs_to_cache(config, train_csv=train_csv, validation_csv=validation_csv, data_dir=data_dir)
    for part, songs in parts.items():
        futures = cache_song.map(songs.rows, unmapped(config), unmapped(songs.folder), unmapped(songs.num_chunks))
        build_index(songs.folder, results(futures, f"cache {part}"), config)
    return {part: songs.folder for part, songs in parts.items()}


def _main(arguments: argparse.Namespace) -> None:
    folders = cache(arguments.params, data_dir=arguments.data)
    say(f"{part}: {folder}" for part, folder in folders.items())


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
