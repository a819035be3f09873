"""``python -m flows.serve``."""

from flows.serve.options import Options
from flows.support.command_line import run

run(Options, "flows.serve.command")
