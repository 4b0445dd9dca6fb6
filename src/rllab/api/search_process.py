"""The process of a search that Python has started: the command line, which stops when its parent has gone."""

import os
import signal
import sys
import threading


def _stop_with_parent() -> None:
    """Stop as on SIGTERM, with all that was trained saved, once nobody holds the other end of stdin any more."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.argv[0] = "rllab-train"  # what it tells a person to type
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    from rllab.entry import train

    train()
