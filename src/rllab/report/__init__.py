"""One HTML page about a run or a study that needs nothing but itself. The only room with Jinja."""

from rllab.report.page import write_report

__all__ = ["write_report"]
