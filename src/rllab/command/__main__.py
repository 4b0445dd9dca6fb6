"""`python -m rllab.command` is `rllab`."""

from rllab.command import main

main()
