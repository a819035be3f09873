"""``python -m flows.export``."""

from flows.export.options import Options
from flows.support.command_line import run

run(Options, "flows.export.command")
