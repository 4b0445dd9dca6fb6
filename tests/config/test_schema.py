"""What the fields of the schema say of themselves, and what follows from that."""

import dataclasses
import pickle
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rllab.config import EnvConfig, MetaConfig, SearchScheduler
from rllab.config.schema import Changes, fields_counting_frames, fields_unchanging

DOCS = Path(__file__).parents[2] / "docs"


def test_every_meta_setting_says_what_another_value_changes():
    for name, hint in get_type_hints(MetaConfig, include_extras=True).items():
        assert any(isinstance(mark, Changes) for mark in get_args(hint)), (
            f"meta.{name}: write Annotated[..., Changes.X]"
        )


def test_a_field_that_says_nothing_changes_both():
    for what in (Changes.RESULT, Changes.SEARCH):
        assert not {"env.id", "env.num_envs", "meta", "env", "agent"} & fields_unchanging(what)


@pytest.mark.parametrize(
    ("what", "page", "begin", "end"),
    [
        (Changes.RESULT, "after_training.md", "Not counted as a difference are ", ", and a\n"),
        (Changes.SEARCH, "search.md", "These may change from one start to the next:", "whatever begins"),
    ],
)
def test_the_pages_list_the_fields_that_change_nothing(what, page, begin, end):
    listed = (DOCS / page).read_text("utf-8").partition(begin)[2].partition(end)[0]
    assert set(re.findall(r"`((?:meta|env)\.\w+)`", listed)) | {"run_dir", "tracker"} == fields_unchanging(what)


@pytest.mark.parametrize(
    ("rigorous_eval", "found"), [(None, (0, False, "log")), (0, (0, False, "log")), (3, (3, True, "eval"))]
)
def test_scores_come_from_training_or_from_evaluation(rigorous_eval, found):
    meta = MetaConfig(rigorous_eval=rigorous_eval)
    assert (meta.eval_episodes, meta.evaluates, meta.scored_at) == found


class TestFrames:
    def test_are_whole_numbers_however_they_are_written(self):
        cfg = EnvConfig(id="x", max_frame=1e7)
        assert (cfg.max_frame, type(cfg.max_frame)) == (10_000_000, int)
        assert cfg == EnvConfig(id="x", max_frame=10_000_000) == pickle.loads(pickle.dumps(cfg))
        assert type(dataclasses.replace(cfg, max_frame=2e3).max_frame) is int
        assert type(MetaConfig(log_frequency=1e3).log_frequency) is int

    def test_have_defaults(self):
        assert (EnvConfig().max_frame, MetaConfig().eval_frequency) == (100_000, 1000)
        assert SearchScheduler().grace_period is None
        assert {f.name: f.default for f in dataclasses.fields(EnvConfig)}["max_frame"] == 100_000

    @pytest.mark.parametrize("wrong", [0, -1, 0.5, float("nan"), float("inf")])
    def test_refuse_what_is_none(self, wrong):
        with pytest.raises(ValueError, match=f"env.max_frame: got {wrong}; write a whole number of frames"):
            EnvConfig(id="x", max_frame=wrong)

    def test_cannot_be_changed(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            EnvConfig(id="x").max_frame = 3

    def test_are_known_by_name(self):
        frequencies = {"meta.log_frequency", "meta.eval_frequency"}
        assert fields_counting_frames() == frequencies | {"env.max_frame", "meta.search_scheduler.grace_period"}
