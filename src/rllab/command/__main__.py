"""`python -m rllab.command` is `rllab`."""

from rllab.command.entry import rllab

rllab()
