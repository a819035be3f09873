"""``python -m flows.separate``."""

from flows.separate.options import Options
from flows.support.command_line import run

run(Options, "flows.separate_batch.command", at_once=True)
