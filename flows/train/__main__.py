"""``python -m flows.train``."""

from flows.support.command_line import run
from flows.train.options import Options

run(Options, "flows.train.flow")
