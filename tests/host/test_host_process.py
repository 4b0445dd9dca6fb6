"""Processes that we start: searches and workers show that they end; here is how they begin."""

import os
import signal
import sys
from multiprocessing import Pipe

from rllab.host.process import start_process


def tell(link):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    main = sys.modules["__main__"].__name__  # "__mp_main__" where the script has been run again
    link.send((os.getpgrp() == os.getpid(), os.environ["RLLAB_TEST"], signal.SIGINT in blocked, main))


def test_it_leads_a_group_has_our_environment_can_be_interrupted_and_runs_no_script_again(monkeypatch):
    script = {**vars(sys.modules["__main__"])}
    for value in ("first", "second"):  # the server that forks it has the environment of its own start
        monkeypatch.setenv("RLLAB_TEST", value)
        ours, theirs = Pipe()
        with ours:
            with theirs:
                process = start_process(tell, theirs)
            assert ours.poll(30)
            assert ours.recv() == (True, value, False, "__main__")
        process.join()
        assert process.exitcode == 0
    assert {**vars(sys.modules["__main__"])} == script
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
