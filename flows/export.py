"""A model in a form that runs without this project: TensorFlow's SavedModel, ONNX, or the files of sherpa-onnx."""

import argparse
import logging
import os
from contextlib import suppress
from pathlib import Path

from flows.support.command import check_first, command_parser, run_command, set_up_process
from flows.support.download import locate_with_bar
from flows.support.terminal import say
from sepcore.config_file import load_config
from sepcore.errors import ConfigError
from sepcore.export.destination import open_destination
from sepcore.export.exporter import export_model
from sepcore.export.formats import FORMATS, check_exportable


def _arguments() -> argparse.Namespace:
    parser = command_parser("export", __doc__)
    parser.add_argument(
        "model", metavar="MODEL", help="what -p takes: a name (2stems, …), a JSON file, a release tarball, a run folder"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="savedmodel and onnx: waveform to stems, any model; sherpa-onnx: vocals.onnx and accompaniment.onnx, "
        "U-Nets of these two stems with Spleeter's spectrograms",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the export, a new or an empty one"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace another export in that folder")
    return parser.parse_args()


def _check(arguments: argparse.Namespace) -> None:
    open_destination(arguments.output)
    with suppress(ConfigError):  # a model that is not here yet: its config comes with it
        check_exportable(load_config(arguments.model), arguments.format)


def _main(arguments: argparse.Namespace) -> None:
    model = locate_with_bar(arguments.model)

    from rich.console import Console

    with Console(stderr=True).status(f"{model.name}: write and check ({arguments.format})"):
        export = export_model(
            model, arguments.format, open_destination(arguments.output), overwrite=arguments.overwrite
        )
    size = sum(path.stat().st_size for path in export.folder.rglob("*") if path.is_file())
    lines = [
        f"{arguments.output}: {arguments.format} of {model.name}, {size / 1e6:.1f} MB"
        + ("" if export.is_new else ", there already"),
        f"largest difference from the Keras model {export.difference:.0e} of the peak",
    ]
    if model.config.mwf:
        lines.append("MWF is true in the config, but Wiener filtering is not exported: stems are by ratio masks")
    say(lines)


if __name__ == "__main__":
    ARGUMENTS = _arguments()
    # What Keras picks for a GPU (cuDNN's LSTM) would run nowhere else.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    set_up_process(ARGUMENTS.verbose)
    if not ARGUMENTS.verbose:
        logging.getLogger("tf2onnx").setLevel("CRITICAL")  # what it cannot convert is our one line
    check_first(lambda: _check(ARGUMENTS))
    run_command(lambda: _main(ARGUMENTS))
