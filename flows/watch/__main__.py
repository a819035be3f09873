"""``python -m flows.watch``."""

from flows.support.command_line import run
from flows.watch.options import Options

run(Options, "flows.watch.command")
