"""``python -m flows.models``."""

from flows.models.options import Options
from flows.support.command_line import run

run(Options, "flows.models.command")
