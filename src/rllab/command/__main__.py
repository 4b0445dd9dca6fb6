"""`python -m rllab.command` is `rllab`."""

from rllab.entry import rllab

rllab()
