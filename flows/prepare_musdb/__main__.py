"""``python -m flows.prepare_musdb``."""

from flows.prepare_musdb.options import Options
from flows.support.command_line import run

run(Options, "flows.prepare_musdb.flow")
