"""The report of an evaluation: one web page to read, with box plots and the songs to hear."""

from sepcore.evaluation.report.evaluation_report import EvaluationReport
from sepcore.evaluation.report.excerpt import Excerpt, read_excerpt, write_excerpt
from sepcore.evaluation.report.report import write_report

__all__ = ["EvaluationReport", "Excerpt", "read_excerpt", "write_excerpt", "write_report"]
