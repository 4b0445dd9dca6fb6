"""The server that forks our processes imports this first: it ends with its parent, also while it imports the rest."""

import os
import signal

_PERIOD = 0.25
_parent = os.getppid()


def _look(*_: object) -> None:
    if os.getppid() != _parent:
        os._exit(0)


signal.signal(signal.SIGALRM, _look)
signal.siginterrupt(signal.SIGALRM, False)  # what it imports may not expect to be interrupted
signal.setitimer(signal.ITIMER_REAL, _PERIOD, _PERIOD)  # those that it forks do not inherit it
