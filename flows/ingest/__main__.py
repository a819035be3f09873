"""``python -m flows.ingest``."""

from flows.ingest.options import Options
from flows.support.command_line import run

run(Options, "flows.ingest.flow")
