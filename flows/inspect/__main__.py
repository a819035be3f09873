"""``python -m flows.inspect``."""

from flows.inspect.options import Options
from flows.support.command_line import run

run(Options, "flows.inspect.command")
