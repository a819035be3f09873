"""``python -m flows.augment``."""

from flows.augment.options import Options
from flows.support.command_line import run

run(Options, "flows.augment.flow")
