"""Names and texts (15): none moves a terminal's cursor, becomes markup of a page, or code on its way to a shell."""

import json
import shlex

import pytest

from rllab.report.run import link
from strangers import some

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r"
MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}[a](javascript:b)![c](http://d)`\n# e\n"
SHELL = "; touch sprung #$(touch sprung)`touch sprung`"
TEXTS = {"escapes": ESCAPE, "markup": MARKUP, "shell": SHELL}


def provenance(stranger, text):
    facts = json.loads((stranger.path / "provenance.json").read_text())
    facts = dict.fromkeys(facts, text) | {"versions": {text: text}, "resumed": [{"time": text, "host": text}]}
    facts["command"] = shlex.join(["train.py", text])
    (stranger.path / "provenance.json").write_text(json.dumps(facts))


def command_alone(stranger, text):
    (stranger.path / "provenance.json").write_text(json.dumps({"command": text, "git_sha": text, "directory": text}))


def trial(stranger, text):
    facts = json.loads((stranger.path / "trial.json").read_text())
    facts |= {"agent": text, "env": text, "reasons": {text: text}, "seed": text, "num_sessions": text, "frames": text}
    (stranger.path / "trial.json").write_text(json.dumps(facts))


def evaluation(stranger, text):
    number = {"value": 1.0, "low": text, "high": text}
    numbers = {"mean": number, "median": number, "iqm": number, "min": text, "max": text}
    found = {"sessions": [{"session": text} | numbers], "over_sessions": numbers, "num_episodes": text}
    (stranger.path / "eval.json").write_text(json.dumps({text: {text: found}, "best": {"greedy": found}}))


def error(stranger, text):
    (stranger.path / "error.txt").write_text(text)
    (stranger.path / "trial.json").unlink()


def header(stranger, text):
    path = stranger.path / "session_0" / "train.csv"
    first, *rows = path.read_text().splitlines()
    name = "train/" + "".join(c for c in text if c not in ",\n\r")
    path.write_text("\n".join([f"{first},{name}", *(f"{row},1.0" for row in rows), ""]))


def cells(stranger, text):
    path = stranger.path / "session_0" / "train.csv"
    path.write_text(path.read_text() + ",".join([text] * 20) + "\n")


def film(stranger, text):
    (stranger.path / "videos").mkdir()
    (stranger.path / "videos" / (text.replace("/", "") + ".mp4")).write_bytes(b"film")


def directory(stranger, text):
    stranger.path = stranger.path.rename(stranger.home / ("javascript:" + text.replace("/", "")))


def config_seed(stranger, text):
    stranger.edit(meta={"seed": text}, env={"reward_threshold": text}, agent={text: text})


def config_names(stranger, text):
    stranger.edit(env={"id": text}, agent={"name": text})
    (stranger.path / "trial.json").unlink()


def config_device(stranger, text):
    stranger.edit(meta={"device": text}, run_dir=text)


def broken_yaml(stranger, text):
    (stranger.path / "config.yaml").write_text(f"{text}: [")


def checkpoint(stranger, text):
    (stranger.path / "checkpoints" / "best.safetensors").write_text(text)


PLACES = [
    *(provenance, command_alone, trial, evaluation, error, header, cells, film, directory),
    *(config_seed, config_names, config_device, broken_yaml, checkpoint),
]


def harmless(stranger, said, page):
    """What is said is lines of plain text, and the page has no elements but its own."""
    assert [c for c in said if not (c.isprintable() or c == "\n")] == []
    assert "Traceback" not in said
    assert not stranger.has_run()
    if (stranger.path / "report.html").exists():
        found = page((stranger.path / "report.html").read_text())
        assert found.elements.count("script") == 1
        assert not {"img", "iframe", "object", "embed", "form", "base", "meta http-equiv"} & set(found.elements)
        assert not [name for name in found.attributes if name.startswith("on")]
        assert not [each for each in found.addresses if ":" in each and not each.startswith("data:")]


@pytest.mark.parametrize("text", some(TEXTS, "escapes"))
@pytest.mark.parametrize("place", some(PLACES, "config_names", "broken_yaml"))
def test_verbs_say_it_as_plain_text(place, text, stranger, look, play, page):
    place(stranger, text)
    said = look(stranger.path) + play(stranger.path)
    harmless(stranger, said, page)


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_plots_say_it_as_plain_text(text, stranger, rllab, page):
    header(stranger, text)
    said = rllab("report", stranger.path)
    assert "<svg" in (stranger.path / "report.html").read_text()
    harmless(stranger, said, page)


@pytest.mark.parametrize("text", some(TEXTS, "escapes"))
@pytest.mark.parametrize("place", [config_seed, config_names, config_device, broken_yaml, checkpoint])
def test_a_resume_says_it_as_plain_text(place, text, stranger, command):
    place(stranger, text)
    (stranger.path / "checkpoints" / "last.safetensors").write_text(text)
    result = command("meta.resume=run")
    assert result.code == 1
    assert result.err.count("\n") == 1, result.err
    assert [c for c in result.out + result.err if not (c.isprintable() or c == "\n")] == []


@pytest.mark.parametrize("text", some(TEXTS, "markup"))
@pytest.mark.parametrize("place", some([provenance, command_alone, evaluation, directory], "provenance"))
def test_the_card_of_an_export_holds_no_markup(place, text, stranger, rllab):
    place(stranger, text)
    rllab("export", stranger.path, "--format", "torchscript")
    card = (stranger.path / "export" / "README.md").read_text()
    assert "<script" not in card
    assert "](" not in card
    assert "\n# e" not in card
    assert [c for c in card if not (c.isprintable() or c == "\n")] == []
    code, provenance = card.partition("## Where it comes from")[::2]
    assert code.count("```") == 2
    assert all(line.count("`") in (0, 2) for line in provenance.splitlines())


def test_addresses_on_a_page_are_of_files(tmp_path):
    """And no programs, where a directory is called like one."""
    assert link(tmp_path / "javascript:alert(1)" / "0" / "report.html", tmp_path).startswith("javascript%3Aalert")


@pytest.mark.slow
def test_formulas_in_a_name_are_no_formulas(stranger, rllab):
    stranger.edit(env={"id": "$x_^{$"}, agent={"name": "$\\frac$"})
    said = rllab("compare", stranger.path, "--out", "picture.png") + rllab("report", stranger.path)
    assert "error" not in said
    assert (stranger.home / "picture.png").exists()


@pytest.mark.parametrize("key", ["git_sha", "directory", "command"])
def test_the_command_of_a_page_runs_nothing_else(key, stranger, look, tmp_path, process):
    """Whoever copies it into a shell runs one program, of the name that stands there."""
    facts = {"command": "true", "git_sha": "abcdef1", "directory": str(tmp_path)} | {key: f"true{SHELL}"}
    (stranger.path / "provenance.json").write_text(json.dumps(facts))
    look(stranger.path)
    from rllab.report.run import provenance as read

    for line in read(stranger.path)["again"]:
        process("-c", "import os, sys; os.system(sys.argv[1])", line, cwd=tmp_path)
    assert not stranger.has_run()


TABLE = """trial,state,value,frames,seconds,{0},reason
0,complete,1,1,1,{0},{0}
1,complete,2,1,1,{0},{0}
2,{0},,1,1,1,1
"""


@pytest.mark.parametrize("text", some(TEXTS, "markup"))
def test_a_study_is_said_as_plain_text(text, stranger, look, page):
    stranger.path = stranger.home / "study"
    stranger.path.mkdir()
    quoted = '"' + text.replace('"', '""') + '"'
    (stranger.path / "trials.csv").write_text(TABLE.format(quoted))
    (stranger.path / "best.yaml").write_text(f"# Trial 1 of {text}: 1. python train.py {shlex.quote(text)}\n")
    harmless(stranger, look(stranger.path), page)
