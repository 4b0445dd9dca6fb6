"""Train an agent: python train.py agent=ppo env=cartpole meta=standard.

The entry point is in src/rllab/entry.py. Hydra completes on TAB after `python FILE` where the file holds the
words @hydra.main, as this one now does.
"""

import os
import sys

# this checkout, installed or not; pathlib would take a moment in which Ctrl-C is answered with a traceback
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "src"))  # noqa: PTH118, PTH120

from rllab.entry import train

if __name__ == "__main__":
    train()
