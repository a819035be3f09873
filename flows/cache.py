"""Training and validation songs to shards of spectrograms."""

import argparse
from pathlib import Path

from flows.command import add_data_option, add_params_option, command_parser, run_command, set_up_process


def _arguments() -> argparse.Namespace:
    parser = command_parser("cache", __doc__)
    add_params_option(parser)
    add_data_option(parser)
    arguments = parser.parse_args()
    set_up_process(arguments.verbose)
    return arguments


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow, unmapped  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from flows.progress import results, say  # noqa: E402
from sepcore import load_config  # noqa: E402
from sepcore.config import ModelConfig  # noqa: E402
from sepcore.dataset.index import build_index  # noqa: E402
from sepcore.dataset.manifest import load_manifest  # noqa: E402
from sepcore.errors import ConfigError, DatasetError  # noqa: E402
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
    check_trainable(config)
    manifests = {
        "training": (
            _manifest("train_csv", train_csv, config.train_csv),
            config.training_cache,
            config.chunks_per_song,
        ),
        "validation": (_manifest("validation_csv", validation_csv, config.validation_csv), config.validation_cache, 1),
    }
    rows = {part: load_manifest(csv, config, data_dir=data_dir) for part, (csv, _, _) in manifests.items()}
    folders = {}
    for part, (csv, folder, num_chunks) in manifests.items():
        if not rows[part]:
            raise DatasetError(f"{csv}: lists no songs for {part}; add some, or name another CSV in the config.")
        folders[part] = Path(folder)
        futures = cache_song.map(rows[part], unmapped(config), unmapped(folders[part]), unmapped(num_chunks))
        build_index(folders[part], results(futures, f"cache {part}"), config)
    return folders


def check_trainable(config: ModelConfig) -> None:
    """Refuse a config whose chunks are shorter than its segments."""
    try:
        config.check_trainable()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _manifest(key: str, given: Path | None, configured: str | None) -> Path:
    if given is not None:
        return given
    if configured is None:
        raise ConfigError(f"the config has no {key}; set it to a CSV, or give --musdb-root to flows.train.")
    return Path(configured)


def _main(arguments: argparse.Namespace) -> None:
    folders = cache(arguments.params, data_dir=arguments.data)
    say(f"{part}: {folder}" for part, folder in folders.items())


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
