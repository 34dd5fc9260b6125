"""The HTML report of a scan: one self-contained file that a second examiner can follow."""

from unmask.apps.report.writer import Examined, ReportWriter

__all__ = ["Examined", "ReportWriter"]
