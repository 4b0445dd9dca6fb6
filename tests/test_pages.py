"""That the pages name what there is. `docs/check.py` runs them; these tests only read."""

import re

import pytest

import pages
from samples import differences

NOTES = {*re.findall(r"<!-- check: (\w+)", pages.__doc__)}
PAGE = """
`rllab presets meta`, `meta=asha -m search=ppo` and `other=1` in a sentence

```
python train.py env=cartpole    # a comment
python train.py -m \\
    agent.lr=1e-3,3e-4
```

<!-- check: skip, it needs Slurm -->
```
drawn
```

<!-- check: first
make a
mess
-->
<!-- check: prints rllab ls -->
```
run  state
```

```yaml
# @package _global_
# my_conf/search/mine.yaml
a: 1
```

```
$ rllab ls
run  state
```
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.md").write_text(PAGE, "utf-8")
    return tmp_path / "page.md"


def test_blocks_are_found(page):
    found = [*pages.blocks(page)]
    assert [(block.line, block.kind) for block in found] == [
        (4, "commands"),
        (11, "unknown"),
        (20, "output"),
        (24, "file"),
        (30, "session"),
    ]
    assert [*pages.commands(found[0].text)] == ["python train.py env=cartpole", "python train.py -m agent.lr=1e-3,3e-4"]
    assert found[1].note("skip") == "it needs Slurm"
    assert found[2].notes == (("first", "make a\nmess"), ("prints", "rllab ls"))
    assert [*pages.inline(page)] == [(2, "rllab presets meta"), (2, "meta=asha -m search=ppo")]
    assert pages.own_presets(page) == {"search/mine"}


@pytest.mark.parametrize("path", pages.pages(), ids=lambda path: path.relative_to(pages.ROOT).as_posix())
def test_each_page_names_what_there_is(path):
    own, found = pages.own_presets(path), []
    for block in pages.blocks(path):
        assert {name for name, _ in block.notes} <= NOTES
        if block.kind == "unknown" and block.note("skip") is None:
            found.append((block.line, "a block that docs/check.py does not understand: see docs/pages.py"))
        if block.kind == "commands":
            found += [(block.line, pages.complaint(command, own)) for command in pages.commands(block.text)]
    found += [(line, pages.complaint(command, own)) for line, command in pages.inline(path)]
    assert [each for each in found if each[1]] == []


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("python train.py meta.max_sesion=2", "meta.max_sesion: no such field"),
        ("python train.py agent=dqn agent.num_epochs=3", "agent.num_epochs: no such field"),
        ("python train.py tunned=none", "tunned: no such field"),
        ("rllab-train -m env=cartpole,acrobott", "env has no preset acrobott"),
        ("OMP_NUM_THREADS=1 python train.py env.kwargs.h=1", "env.kwargs.h: no such field"),
        ("meta.max_session=8 agent.n_stepp=3", "agent.n_stepp: no such field"),
        ("rllab lst", "rllab has no verb lst"),
        ("rllab ls --jsn", "rllab ls has no --jsn"),
        ("rllab presets mta", "rllab presets knows no mta"),
        ("rllab doctor env=mooon", "env has no preset mooon"),
        ("make tset", "make has no target tset"),
        ("pip install 'rllab[box3d]'", "there is no extra box3d"),
        ("python -m benchmarks.sped", "there is no benchmarks.sped"),
        ("python -m benchmarks.speed --repeat 3", "there is no --repeat"),
    ],
)
def test_what_does_not_exist_is_found(command, complaint):
    assert pages.complaint(command) == complaint


def test_what_exists_is_not():
    assert pages.complaint("python train.py -m agent=sac agent.tau=0.01,0.02 +env.kwargs.g=1 env=pendulum") is None
    assert (
        pages.complaint("python train.py --config-dir my_conf env=corridor env.kwargs.length=2", {"env/corridor"})
        is None
    )
    assert pages.complaint("agent.n_step=3 agent.num_epochs=range(2,11,2)") is None  # each has one of them


SAMPLE = """
results  outputs/2026-11-28/20-51-14_ppo_cartpole_seed0
│ 0 │ 150,000 │ 500.0 │
session 0   500.0   solved (475) at frame 58,000
"""


@pytest.mark.parametrize(
    ("printed", "diff"),
    [
        (SAMPLE.replace("20-51-14", "09-00-01").replace("  ", "     ").replace("58,000", "71,000"), []),
        (SAMPLE.replace("│ 500.0", "│ 23.0"), ["- │ 0 │ 150,000 │ 500.0 │", "+ │ 0 │ 150,000 │ 23.0 │"]),
        (SAMPLE.replace("solved", "reached"), None),
        (SAMPLE + "a new line\n", ["+ a new line"]),
        (SAMPLE.replace("results", "path"), None),
    ],
)
def test_a_sample_is_stale_where_words_or_sizes_differ(printed, diff):
    found = differences(SAMPLE, printed)
    assert found == diff if diff is not None else len(found) == 2


def test_a_sample_may_leave_lines_out():
    assert differences("a 1\n...\nd 4\n...", "a 1\nb 2\nc 3\nd 4\ne 5") == []
    assert differences("a 1\n...\nd 4", "a 1\nb 2\nd 4\ne 5") == ["+ e 5"]
    assert differences("a 1\nb 2", "b 900\na 7", shape=True) == []
    assert differences("a 1\nc 2", "b 900\na 7", shape=True)[0] == "- c 2"
    assert differences("a 1\nLinux 6", "Linux 7\na 1\nLinux x", machine=("Linux",)) == []
