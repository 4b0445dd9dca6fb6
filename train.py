"""Train an agent: python train.py agent=ppo env=cartpole meta=standard.

The entry point is in src/rllab/command/entry.py. Hydra completes on TAB after `python FILE` where the file holds the
words @hydra.main, as this one now does.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))  # this checkout, installed or not

from rllab.command.entry import train

if __name__ == "__main__":
    train()
