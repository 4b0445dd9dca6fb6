"""The page about a run or a study, of directories in every condition."""

import json
import platform
import re

import optuna
import pytest

from analysis_runs import write_run, write_table
from rllab.analysis import plots, summarize
from rllab.host.process import Hold
from rllab.report import write_report
from rllab.report.page import duration, interval, number
from rllab.report.run import again

HEADER = "frame,elapsed_s,rollout/ep_rew_mean,rollout/ep_len_mean,train/policy_loss,time/fps"
HEADER += ",time/env_share,time/act_share,time/update_share,time/log_share"
ROWS = (
    "100,1.0,,,,10,0.5,0.1,0.3,0.1",
    "200,2.0,20.0,20.0,0.25,30,0.4,0.1,0.4,0.1",
    "300,3.0,40.0,40.0,0.125,40,0.25,0.1,0.6,0.05",
)
DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
PROVENANCE = {
    "time": "2026-11-24T10:00:00+00:00",
    "command": "train.py env=cartpole 'run_dir=my run' '+env.kwargs={a: 1}'",
    "directory": "/home/me/my project",
    "git_sha": "39781bf4f9d4d4feed053b9e6ae05b48f28e6730",
    "git_dirty": True,
    "host": platform.node(),
    "versions": {"python": "3.11.7", "mujoco": None},
    "resumed": [{"time": "2026-11-24T11:00:00+00:00", "host": platform.node()}],
}


def estimates(x):
    return {name: {"value": x, "low": x - 1, "high": x + 1} for name in ("mean", "median", "iqm")}


EVALUATION = {
    "best": {
        "greedy": {
            "num_episodes": 7,
            "sessions": [{"session": 0, "min": 3.0, "max": 44.5, **estimates(33.25)}],
            "over_sessions": estimates(34.75),
        }
    }
}


@pytest.fixture(autouse=True)
def _coarse_curves(monkeypatch):
    monkeypatch.setattr(plots, "GRID_POINTS", 4)  # each point costs a bootstrap


@pytest.fixture
def run(tmp_path):
    """A run of two sessions that has all the files."""
    path = write_run(tmp_path / "run", max_frame=400)
    for session in (0, 1):
        write_table(path / f"session_{session}" / "train.csv", HEADER, ROWS)
    (path / "provenance.json").write_text(json.dumps(PROVENANCE))
    (path / "eval.json").write_text(json.dumps(EVALUATION))
    (path / "videos").mkdir()
    (path / "videos" / "best.mp4").write_bytes(b"film")
    summarize(path, plot=False)
    return path


def page(path, out=None):
    out = out or path / "report.html"
    write_report(path, out)
    return out.read_text(encoding="utf-8")


def section(html, name):
    """The text of a section, without tags, spaces made one."""
    inside = re.search(rf'<section class="card" id="{name}">(.*?)</section>', html, re.DOTALL)[1]
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", inside, flags=re.DOTALL).split())


def test_a_finished_run(run):
    html = page(run)
    assert '<span class="state finished">finished</span>' in html
    assert "score 40.0 (20.0 to 60.0)" in section(html, "figures")
    assert "frames 300 of 400 a session" in section(html, "figures")
    assert "solved (30) 2 of 2" in section(html, "figures")
    assert "0 20.0 40.0 40.0 300" in section(html, "sessions")
    assert "stepping envs 25 % choosing actions 10 % learning 60 % checkpoints 5 %" in section(html, "time")
    assert section(html, "metrics").startswith("What the agent reports rollout/ep_len_mean policy_loss Thick")
    found = section(html, "evaluation")
    assert "best checkpoint, greedy, 7 episodes a session" in found
    assert "0 33.2 (32.2 to 34.2) 33.2 33.2 3.0 44.5 all 34.8 (33.8 to 35.8)" in found
    assert "reward_threshold: 30.0" in section(html, "config")
    assert html.count("<svg") == 3


def test_the_page_needs_nothing_else(run):
    html = page(run)
    assert "data:video/mp4;base64,ZmlsbQ==" in html
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "@import" not in html
    assert set(re.findall(r"https?://[^\"' <]*", html)) <= {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }


def test_pictures_take_the_colours_of_the_page(run):
    pictures = "".join(re.findall(r"<svg.*?</svg>", page(run), re.DOTALL))
    assert "var(--train)" in pictures
    assert "var(--ink)" in pictures
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", pictures)) == set()


def test_a_large_video_is_linked(run):
    (run / "videos" / "best.mp4").write_bytes(bytes(8_000_001))
    assert 'src="videos/best.mp4"' in page(run)
    assert 'src="run/videos/best.mp4"' in page(run, run.parent / "page.html")


def test_the_command_that_does_it_again(run):
    text = section(page(run), "again")
    lines = again(PROVENANCE)
    assert lines == [
        "cd '/home/me/my project'",
        "git checkout 39781bf4f9d4d4feed053b9e6ae05b48f28e6730",
        "python train.py env=cartpole '+env.kwargs={a: 1}'",
    ]
    assert "Files differed from that commit" in text
    assert "resumed 2026-11-24T11:00:00+00:00" in text
    assert again({"command": "/usr/bin/rllab-train env=acrobot"}) == ["rllab-train env=acrobot"]
    assert again({"command": "'"}) == again({}) == []


def test_what_came_from_elsewhere_is_escaped(run):
    (run / "error.txt").write_text("<script>alert(1)</script>")
    (run / "provenance.json").write_text(json.dumps(PROVENANCE | {"command": "train.py env.id=<b>"}))
    config = (run / "config.yaml").read_text().replace("CartPole-v1", "'<img>'")
    (run / "config.yaml").write_text(config)
    (run / "trial.json").unlink()
    html = page(run)
    assert "<script>alert" not in html
    assert "<img>" not in html
    assert "&lt;img&gt;" in html
    assert "&lt;b&gt;" in html


def test_a_run_still_being_written(run):
    (run / "trial.json").unlink()
    table = run / "session_0" / "train.csv"
    table.write_text(table.read_text() + "400,4.0,5")
    (run / "session_1" / "eval.csv").write_text("frame,eval/mean_rew")
    hold = Hold(run)
    html = page(run)
    hold.release()
    assert '<span class="state running">running</span>' in html
    assert "rllab report" in html
    assert "score 40.0" in section(html, "figures")  # of the training returns: an evaluation is missing


def test_a_run_that_failed_at_once(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("agent: {name: ppo}")
    (run / "error.txt").write_text("Traceback: boom")
    html = page(run)
    assert '<span class="state failed">failed</span>' in html
    assert section(html, "error") == "It failed Traceback: boom"
    assert "meta.seed is missing" in section(html, "problem")
    assert "provenance.json is missing" in section(html, "again")


def test_one_session(tmp_path):
    html = page(write_run(tmp_path / "run", sessions=1))
    assert "score 20.0 interquartile mean" in section(html, "figures")
    assert "which needs at least two" in section(html, "figures")
    assert "each session" not in section(html, "curve")


def test_a_run_of_an_older_version(tmp_path):
    run = write_run(tmp_path / "run", reward_threshold=None, random_return=None)
    for name in ("train.csv", "eval.csv"):
        (run / "session_1" / name).write_text("frame,elapsed_s,rollout/ep_rew_mean,eval/mean_reward\n")
    (run / "provenance.json").write_text("{}")
    (run / "eval.json").write_text('{"best": {"greedy": {"sessions": [{}]}, "x": 1}, "last": 3}')
    html = page(run)
    assert "written by an older version" in section(html, "time")
    assert "There is none yet" in section(html, "evaluation")
    assert "The command is not known" in section(html, "again")
    (run / "session_0" / "train.csv").write_text("frame,reward\n1,2\n")
    assert "column elapsed_s is missing" in section(page(run), "problem")


@pytest.fixture
def study(tmp_path):
    """A search of four trials, one of which still runs."""
    directory = tmp_path / "search"
    (directory / ".sweepers").mkdir(parents=True)
    known = optuna.create_study(study_name="any", storage=f"sqlite:///{directory / 'study.db'}", direction="maximize")
    trials = (("COMPLETE", 30.0), ("COMPLETE", 50.0), ("PRUNED", 10.0), ("RUNNING", None))
    for index, (state, score) in enumerate(trials):
        known.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[state],
                params={"agent.lr": 0.1 * (index + 1), "agent.gamma": 0.9},
                distributions={
                    "agent.lr": optuna.distributions.FloatDistribution(0, 1),
                    "agent.gamma": optuna.distributions.FloatDistribution(0, 1),
                },
                value=score,
                intermediate_values={400: 20.0},
                user_attrs={"reason": "not in the best 1/3 at frame 400"} if state == "PRUNED" else {},
            )
        )
        (write_run(directory / str(index)) / "provenance.json").write_text(json.dumps(PROVENANCE))
    return directory


def test_a_search_that_goes_on(study):
    html = page(study)
    assert "complete 2 of 4 trials pruned 1 of 4 trials running 1 of 4 trials" in section(html, "figures")
    assert "best score 50.0 trial 1" in section(html, "figures")
    assert "agent.lr 0.2" in section(html, "best")
    assert "2 pruned 10.0 400 0 s 0.3 0.9 not in the best 1/3 at frame 400" in section(html, "trials")
    assert "<svg" in html.partition('id="history"')[2]
    assert "That needs 10 complete trials, and there are 2." in section(html, "importances")


def test_a_search_whose_storage_is_elsewhere(study):
    (study / "study.db").unlink()
    assert "the storage is elsewhere" in section(page(study), "problem")
    (study / "trials.csv").write_text(
        "trial,state,value,frames,seconds,agent.lr,agent.kind,reason\n0,complete,30.0,400,62.5,0.1,a,\n1,failed,,0,1.0,,,boom\n"
    )
    (study / "best.yaml").write_text("# Trial 0 of any: 30.5. python train.py -cd x\n# -cn best\ndefaults: []\n")
    html = page(study)
    assert "0 complete 30.0 400 1 min 02 s 0.1 a" in section(html, "trials")
    assert f"1 failed {DASH} 0 1 s boom" in section(html, "trials")
    assert "python train.py -cd x -cn best" in section(html, "best")
    assert "That needs 10 complete trials, and there are 1." in section(html, "importances")


def test_a_search_that_cannot_be_read(study):
    (study / "study.db").write_bytes(b"garbage")
    assert "study.db cannot be read" in section(page(study), "problem")
    (study / "study.db").unlink()
    (study / "trials.csv").write_text("trial,state\nx,y\n")
    assert "trials.csv cannot be read" in section(page(study), "problem")


def test_trials_with_a_page_of_their_own_are_linked(study):
    page(study / "1")
    assert '<a href="1/report.html">1</a>' in page(study)
    assert '<a href="search/1/report.html">1</a>' in page(study, study.parent / "page.html")


def test_neither_a_run_nor_a_study(tmp_path):
    with pytest.raises(ValueError, match="is neither a run directory nor that of a study"):
        write_report(tmp_path, tmp_path / "report.html")


def test_how_numbers_are_written():
    written = ["1,234.5", "0.0", "0.0123", f"{MINUS}3.0", DASH, DASH]
    assert [number(x) for x in (1234.5, 0, 0.012345, -3, None, float("nan"))] == written
    assert interval({"low": -1.0, "high": 2.0}) == f"({MINUS}1.0 to 2.0)"
    assert interval({"low": None, "high": None}) == ""
    assert [duration(x) for x in (5, 65, 3700, None)] == ["5 s", "1 min 05 s", "1 h 01 min", DASH]


def test_what_the_final_evaluation_found(run, tmp_path):
    def page():
        write_report(run, tmp_path / "report.html")
        return (tmp_path / "report.html").read_text()

    assert "greedy at the end" not in page()
    summarize(run, plot=False, greedy={"best": [61.5, 63.5], "last": [51.0, 53.0]})
    assert "<td>best, greedy at the end</td><td>62.5</td>" in page()
    assert "<td>last, greedy at the end</td><td>52.0</td>" in page()
