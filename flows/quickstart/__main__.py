"""``python -m flows.quickstart``."""

from flows.quickstart.options import Options
from flows.support.command_line import run

run(Options, "flows.quickstart.flow")
