"""Reads a run directory after training and writes its statistics and learning curve; works without torch."""

from rllab.analysis.runs import read_run
from rllab.analysis.summary import summarize

__all__ = ["read_run", "summarize"]
