"""``python -m flows.evaluate``."""

from flows.evaluate.options import Options
from flows.support.command_line import run

run(Options, "flows.evaluate.flow")
