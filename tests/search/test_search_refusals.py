"""Bad command lines of a search: one line that names the field, what it got and what to write; nothing is started."""

import pytest

from command_line import assert_refused, everything_in
from rllab.search.study import SharedStudy

N = "meta.max_trial=4"
ASHA = "-m meta=asha agent.lr=choice(1e-3) env.max_frame=200000"
"""A search with nothing wrong: one value is soon checked."""
GRACE = "meta.search_scheduler.grace_period"
CHOICES = "but it is no number; write choices, e.g."
SWEEPS = "interval(0,1), tag(log,interval(1e-5,1e-2)), choice(a,b) or range(1,9)"
GRID = "from which a grid cannot be made; add a number of trials, e.g. meta.max_trial=16"
COMMON = "but trials that are compared must have it in common; write one value, or meta.search_scheduler.kind=none"
SHARED = "but all trials of a search share it; write one value"
EMPTY = "which is empty; write range(low,high,step), e.g. range(1,4,1) for 1,2,3"
URLS = "sqlite:///study.db, journal:///study.log or postgresql://user@host/name"

REFUSED = {
    # fields that are not there, or no numbers
    f"-m {N} agent.lrr=interval(0,1)": "agent.lrr: no such field; did you mean agent.lr?",
    f"-m {N} agnt.lr=interval(0,1)": "agnt: no such field; did you mean agent?",
    f"-m {N} agent.network=interval(0,1)": "agent.network: got 0.0; write a name, e.g. cnn, or one for each part, e.g. "
    "{camera: cnn, state: mlp}",
    f"-m {N} agent.activation=interval(0,1)": (
        f"agent.activation: got interval(0,1), {CHOICES} agent.activation=tanh,relu"
    ),
    f"-m {N} agent.share_network=range(0,2)": (
        f"agent.share_network: got range(0,2), {CHOICES} agent.share_network=true,false"
    ),
    f"-m {N} agent.hidden=interval(32,64)": (
        f"agent.hidden: got interval(32,64), {CHOICES} agent.hidden=[64,64],[128,128]"
    ),
    f"-m {N} env.kwargs=interval(0,1)": f"env.kwargs: got interval(0,1), {CHOICES} env.kwargs={{a:1}},{{a:2}}",
    f"-m {N} env=interval(0,1)": f"env: got interval(0,1), {CHOICES} env=acrobot,ant",
    # intervals and ranges
    f"-m {N} agent.lr=interval(1e-2,1e-5)": (
        "agent.lr: got interval(1e-2,1e-5), whose low is above its high; write interval(1e-5,0.01)"
    ),
    f"-m {N} agent.lr=tag(log,interval(1e-2,1e-5))": (
        "agent.lr: got tag(log,interval(1e-2,1e-5)), whose low is above its high; write tag(log,interval(1e-5,0.01))"
    ),
    f"-m {N} agent.lr=tag(log,interval(0,1e-2))": (
        "agent.lr: got tag(log,interval(0,1e-2)), but a logarithm needs a low above 0; "
        "write e.g. tag(log,interval(1e-5,0.01))"
    ),
    f"-m {N} agent.num_steps=tag(log,interval(-1,128))": (
        "agent.num_steps: got tag(log,interval(-1,128)), but a logarithm needs a low above 0; "
        "write e.g. tag(log,interval(1,128))"
    ),
    f"-m {N} agent.lr=tag(lgo,interval(1e-5,1e-2))": (
        "agent.lr: got tag(lgo,interval(1e-5,1e-2)), with the tag 'lgo'; write tag(log,interval(1e-5,0.01)), or no tag"
    ),
    f"-m {N} agent.lr=interval(0,inf)": (
        "agent.lr: got interval(0,inf), whose ends are not finite; write two numbers, e.g. interval(0,1)"
    ),
    f"-m {N} agent.num_epochs=interval(1.5,4)": (
        "agent.num_epochs: got interval(1.5,4), but it is an integer; write whole numbers"
    ),
    f"-m {N} agent.lr=range(4,1)": f"agent.lr: got range(4,1), {EMPTY}",
    "-m agent.lr=range(1,4,0)": f"agent.lr: got range(1,4,0), {EMPTY}",
    "-m env=glob(x*)": "env: got glob(x*), which matches nothing; write glob(*)",
    f"-m {N} agent.lr=log(interval(1e-5,1e-2))": (
        f"agent.lr: got 'log(interval(1e-5,1e-2))', which cannot be read; write e.g. {SWEEPS}, with -m"
    ),
    "agent.lr=interval(0,1)": "agent.lr: got several values, interval(0,1); write one, or sweep over them with -m",
    # values that their field refuses, of which a trial would die
    f"-m {N} agent.gamma=interval(0.9,1.5)": "agent.gamma: got 1.5; write a number from 0 to 1, e.g. 0.95",
    f"-m {N} agent.num_epochs=interval(0,4)": "agent.num_epochs: got 0; write an integer of at least 1",
    f"-m {N} agent.num_epochs=4,many": "agent.num_epochs: got 'many'; write an integer",
    f"-m {N} agent.hidden=[64],64": "agent.hidden: got 64; write a list, e.g. [64,64], each item an integer",
    f"-m {N} env=cartpole,acrobt": "env=acrobt: no such option; did you mean env=acrobot?",
    # how many trials, of what
    "-m agent.lr=interval(1e-5,1e-2)": f"agent.lr: got interval(1e-5,1e-2), {GRID}",
    "-m search=ppo": f"agent.lr: got tag(log,interval(1e-5,1e-2)), {GRID}",
    "-m meta=asha": (
        "meta.max_trial: got 16, but nothing is searched; add a space, e.g. search=ppo or "
        "'agent.lr=tag(log,interval(1e-5,1e-2))'"
    ),
    "-m meta=asha search=nope": "search=nope: no such option; write one of *",
    "-m meta=asha search=pp0": "search=pp0: no such option; did you mean search=ppo?",
    "-m meta=asha search=ppo agent=random": (
        "search=ppo: samples agent.lr, which agent=random does not have; write another search, or another agent"
    ),
    "search=ppo": "search=ppo: one run searches nothing; add -m",
    "meta=asha search=ppo": "search=ppo: one run searches nothing; add -m",
    "meta=asha": (
        "meta.max_trial: got 16, but this is one run; add -m and a space, e.g. -m meta=asha search=ppo, "
        "or write meta.max_trial=1"
    ),
    "-m meta.max_trial=2,4 agent.lr=1e-3,1e-4": f"meta.max_trial: got 2,4, {SHARED}",
    "-m search=ppo,ppo": f"search: got ppo,ppo, {SHARED}",
    f"{ASHA} meta.keep_trials=0": "meta.keep_trials: got 0; write an integer of at least 1, e.g. meta.keep_trials=4",
    # pruning
    f"{ASHA} {GRACE}=1e6": (
        f"{GRACE}: got 1000000, so that no trial is stopped before its end at env.max_frame=200000; "
        f"write e.g. {GRACE}=20000, or meta.search_scheduler.kind=none"
    ),
    f"{ASHA} {GRACE}=15000": (
        f"{GRACE}: got 15000, which no log checkpoint meets (meta.log_frequency=10000); write {GRACE}=10000"
    ),
    f"{ASHA} meta.log_frequency=1e6": (
        "meta.log_frequency: got 1000000, so that no trial reports before its end at env.max_frame=200000; "
        "write at most 20000, or meta.search_scheduler.kind=none"
    ),
    f"{ASHA} meta.search_scheduler.kind=hyperband": (
        "meta.search_scheduler.kind: got 'hyperband'; write one of median, asha, none"
    ),
    f"{ASHA} meta.max_session=1,2": f"meta.max_session: got 1,2, {COMMON}",
    f"{ASHA} env=cartpole,acrobot": f"env: got cartpole,acrobot, {COMMON}",
    f"{ASHA} env.max_frame=2e5,3e5": f"env.max_frame: got 2e5,3e5, {COMMON}",
    # slots
    f"{ASHA} meta.search_resources.cpu=4096": (
        "meta.search_resources.cpu: got 4096, but this machine has * core*; "
        "write at most meta.search_resources.cpu=*, or hydra.sweeper.n_jobs for another machine"
    ),
    f"{ASHA} meta.search_resources.cpu=0": "meta.search_resources.cpu: got 0; write a number above 0, e.g. 1",
    # the sweeper's own fields
    f"{ASHA} hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs: got 0; write a number of at least 1",
    f"{ASHA} hydra.sweeper.n_jobs=abc": "hydra.sweeper.n_jobs: got 'abc'; write an integer or null",
    f"{ASHA} hydra.sweeper.n_jobs=1,2": "hydra.sweeper.n_jobs: got several values, 1,2; write one",
    f"{ASHA} hydra.sweeper.n_job=2": "hydra.sweeper.n_job: no such field; did you mean hydra.sweeper.n_jobs?",
    f"{ASHA} +hydra.sweeper.pruner=median": (
        "hydra.sweeper.pruner: no such field; write one of max_failure_rate, max_retries, n_jobs, n_trials, params, "
        "patience, sampler, storage, study_name"
    ),
    f"{ASHA} hydra.sweeper.max_failure_rate=2": (
        "hydra.sweeper.max_failure_rate: got 2; write a share of the trials, e.g. 0.5"
    ),
    f"{ASHA} hydra.sweeper.patience=0.5": "hydra.sweeper.patience: got 0.5; write a number of at least 1",
    f"{ASHA} hydra.sweeper.max_retries=null": "hydra.sweeper.max_retries: got null; write an integer",
    f"{ASHA} hydra/sweeper/sampler=nope": "hydra/sweeper/sampler=nope: no such option; *",
    f"{ASHA} hydra/sweeper/sampler=grd": (
        "hydra/sweeper/sampler=grd: no such option; did you mean hydra/sweeper/sampler=grid?"
    ),
    f"{ASHA} hydra.sweeper.sampler.n_startup=2": (
        "hydra.sweeper.sampler.n_startup: no such field; did you mean hydra.sweeper.sampler.n_startup_trials?"
    ),
    f"{ASHA} hydra/launcher=proces": "hydra/launcher=proces: no such option; did you mean hydra/launcher=process?",
    # storage
    f"{ASHA} hydra.sweeper.storage=study.db": (
        f"hydra.sweeper.storage: got 'study.db', which is no storage; write {URLS}"
    ),
    f"{ASHA} hydra.sweeper.storage=sqlite://": (
        "hydra.sweeper.storage: got 'sqlite://', which no other process can see; write sqlite:///study.db"
    ),
    f"{ASHA} hydra.sweeper.storage=sqlite:////proc/nowhere/study.db": (
        "hydra.sweeper.storage: got 'sqlite:////proc/nowhere/study.db', which cannot be used "
        "(No such file or directory: '/proc/nowhere'); write another file"
    ),
    f"{ASHA} hydra.sweeper.storage=mssql://me:secret@host/name": (
        "hydra.sweeper.storage: got 'mssql://me:***@host/name', whose driver is missing (No module named 'pyodbc'); "
        "install it"
    ),
}
"""What a person types after `python train.py`, and the line that answers; * stands for any text."""


@pytest.mark.parametrize(("words", "line"), REFUSED.items(), ids=str)
def test_bad_input_is_refused_in_one_line(words, line, refused, recwarn):
    refused(words, line)
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


def test_a_server_that_is_not_there(refused):
    pytest.importorskip("psycopg")
    line = "hydra.sweeper.storage: got 'postgresql://me:***@127.0.0.1:1/name', which cannot be reached (*refused); "
    refused(
        f"{ASHA} hydra.sweeper.storage=postgresql://me:secret@127.0.0.1:1/name",
        f"{line}start it, or leave the field out to use SQLite",
    )


def test_the_line_is_all_that_a_process_writes(train_process, workplace):
    before = everything_in(workplace)
    words = f"{ASHA} hydra.sweeper.n_jobs=0"
    assert_refused(train_process(words), REFUSED[words], workplace, before)


def test_another_search_under_the_same_name_is_refused_with_both_shown(command, workplace, monkeypatch):
    """The first one need not run: that it was started makes the name its own."""
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(SharedStudy, "finished", lambda _: True)
    named = "-m hydra.sweeper.study_name=mine"
    assert command(f"{named} meta.max_trial=4 agent.lr=tag(log,interval(1e-5,1e-2))").code == 0
    assert command(f"{named} meta.max_trial=9 agent.lr=tag(log,interval(1e-5,1e-2))").code == 0
    before = everything_in(workplace)
    other = command(f"{named} meta.max_trial=4 agent.lr=interval(1e-5,1e-2) agent.gamma=0.9")
    line = (
        "hydra.sweeper.study_name: 'mine' holds another search: agent.gamma is 0.99 there and 0.9 here; "
        "agent.lr is tag(log,interval(1e-5,1e-2)) there and interval(1e-5,1e-2) here; write another study_name"
    )
    assert_refused(other, line, workplace, before)
