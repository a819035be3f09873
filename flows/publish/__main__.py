"""``python -m flows.publish``."""

from flows.publish.options import Options
from flows.support.command_line import run

run(Options, "flows.publish.flow")
