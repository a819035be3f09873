"""``python -m flows.compare``."""

from flows.compare.options import Options
from flows.support.command_line import run

run(Options, "flows.compare.command")
