"""The export of a model, checked against the Keras model."""

import logging
from dataclasses import replace

from rich.console import Console

from flows.export.options import Options
from flows.support.download import locate_with_bar
from flows.support.terminal import say
from sepcore.export.destination import open_destination
from sepcore.export.exporter import export_model

if not logging.getLogger().isEnabledFor(logging.INFO):
    logging.getLogger("tf2onnx").setLevel("CRITICAL")  # our own line says what it cannot convert


def main(options: Options) -> None:
    """Export, and print the result."""
    located = locate_with_bar(options.model)
    model = replace(located, config=options.changed(located.config))

    with Console(stderr=True).status(f"{model.name}: write and check ({options.format})"):
        export = export_model(model, options.format, open_destination(options.output), overwrite=options.overwrite)
    size = sum(path.stat().st_size for path in export.folder.rglob("*") if path.is_file())
    lines = [
        f"{options.output}: {options.format} of {model.name}, {size / 1e6:.1f} MB"
        + ("" if export.is_new else ", there already"),
        f"largest difference from the Keras model {export.difference:.0e} of the peak",
    ]
    if model.config.mwf:
        lines.append("MWF is true in the config, but Wiener filtering is not exported: stems are by ratio masks")
    say(lines)
