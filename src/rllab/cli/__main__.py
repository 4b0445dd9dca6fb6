"""`python -m rllab.cli` is `rllab`."""

from rllab.cli import main

main()
