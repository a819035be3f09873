"""``python -m flows.separate_batch``."""

from flows.separate_batch.options import Options
from flows.support.command_line import run

run(Options, "flows.separate_batch.command", at_once=True)
