"""``python -m flows.check``."""

from flows.check.options import Options
from flows.support.command_line import run

run(Options, "flows.check.command")
