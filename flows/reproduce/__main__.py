"""``python -m flows.reproduce``."""

from flows.reproduce.options import Options
from flows.support.command_line import run

run(Options, "flows.reproduce.flow")
