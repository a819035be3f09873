"""Convert the network of a checkpoint for the lean engine; run as a process of its own.

python -m sepcore.export.convert FOLDER FILE < config.json
"""

import sys
from pathlib import Path

from sepcore.config.load import parse_config
from sepcore.engines.converted import checksum_file, network_places
from sepcore.errors import CheckpointError, StemworksError
from sepcore.provider.checksum import file_sha256
from sepcore.system.atomic import atomic_path, write_text


def convert(folder: Path, file: Path, config_json: str) -> None:
    """Write the network of a config's JSON with the weights in ``folder`` to ``file``, whole or not at all.

    Raises:
        CheckpointError: the weights do not fit the network, or ``file`` is named after other weights.
        ConfigError: the config cannot be used.
        ExportError: ONNX has no operator for a part of the network.
    """
    config = parse_config(config_json, "the model's config")
    from sepcore.export.onnx_files import convert_network
    from sepcore.networks.registry import build_network
    from sepcore.networks.spleeter_checkpoint import read_checkpoint

    network = build_network(config)
    read_checkpoint(network, folder)
    # The file is named after the weights that it is made from.
    if file.name not in {place.name for place in network_places(config, folder)}:
        raise CheckpointError("the weights were replaced while they were being read", path=folder, hint="Try again.")
    with atomic_path(file) as temporary:
        convert_network(folder.name, config, network, temporary)
        write_text(checksum_file(file), file_sha256(temporary))


def _main() -> int:
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.stdin.read())
    except (StemworksError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
