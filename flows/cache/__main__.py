"""``python -m flows.cache``."""

from flows.cache.options import Options
from flows.support.command_line import run

run(Options, "flows.cache.flow")
