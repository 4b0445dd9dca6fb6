"""An env from a package of the user's own: id, kwargs and wrappers, in this process and in others."""

import sys

import gymnasium
import numpy as np
import pytest

from rllab import envs
from rllab.config import EnvConfig
from rllab.training.evaluation import Evaluator

PACKAGE = """
import gymnasium
import numpy as np
from gymnasium import spaces


class Corridor(gymnasium.Env):
    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict(place=spaces.Box(0, 9, (1,), np.float32), goal=spaces.Discrete(3))

    def __init__(self, length=3):
        self.length = length

    def _obs(self):
        return {"place": np.array([self.place], np.float32), "goal": 1}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return self._obs(), {}

    def step(self, action):
        self.place += int(action)
        return self._obs(), float(action), self.place >= self.length, False, {}


class Doubled(gymnasium.RewardWrapper):
    def reward(self, reward):
        return 2 * reward


def broken(env):
    raise RuntimeError("no\\nway")


gymnasium.register("Corridor-v0", Corridor, max_episode_steps=5)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "corridor_pkg.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "corridor_pkg:Corridor-v0"
    sys.modules.pop("corridor_pkg", None)
    gymnasium.registry.pop("Corridor-v0", None)


@pytest.mark.parametrize("backend", ["auto", "gymnasium", "sync", "async"])
def test_a_package_of_ones_own(package, backend):
    wrappers = ["corridor_pkg.Doubled"]
    cfg = EnvConfig(id=package, num_envs=1, backend=backend, kwargs={"length": 2}, wrappers=wrappers)
    info = envs.inspect(cfg, num_sessions=2)
    assert info.id == package
    assert info.backend == ("async" if backend == "async" else "sync")
    told = ("returns are sums of what Doubled makes of the rewards", "observations of Dict are flattened to (4,)")
    assert info.notes == told
    made = envs.make(cfg, num_sessions=2)
    try:
        assert made.reset([1, 2]).shape == (2, 1, 4)  # goal [3], place [1]
        made.step(np.array([[1], [0]]))
        *_, terminated, truncated, finished = made.step(np.array([[1], [0]]))
        assert terminated.tolist() == [[True], [False]]
        assert finished.returns.tolist() == [4.0]  # two steps, doubled
        for _ in range(3):
            *_, terminated, truncated, finished = made.step(np.array([[0], [0]]))
        assert truncated.tolist() == [[False], [True]]
    finally:
        made.close()


@pytest.mark.parametrize(
    ("wrappers", "message"),
    [
        (
            ["gymnasium.wrappers.TimeAwareObservatio"],
            r"'gymnasium\.wrappers\.\w+', which cannot be imported .*; write e\.g",
        ),
        (["no_such_pkg.Wrapper"], r"'no_such_pkg\.Wrapper', which cannot be imported \(No module named"),
        (["Wrapper"], r"'Wrapper', which cannot be imported"),
        (["corridor_pkg:broken"], r"'corridor_pkg:broken', which cannot wrap Corridor-v0: no way"),
        (
            ["gymnasium.wrappers.FrameStackObservation"],
            r"'gymnasium\.wrappers\.\w+', which cannot wrap Corridor-v0: .*stack",
        ),
        (
            [{"gymnasium.wrappers.FrameStackObservation": {"stack": 4}}],
            r"stack: 4, but gymnasium\.wrappers\.\w+ takes no such argument; write one of stack_size, padding_type$",
        ),
        (
            [{"gymnasium.wrappers.FrameStackObservation": {"stack_size": 0}}],
            r"'gymnasium\.wrappers\.\w+' with {'stack_size':0}, which cannot wrap Corridor-v0: .* greater than zero",
        ),
    ],
)
def test_wrappers_that_cannot_be_had(package, wrappers, message):
    with pytest.raises(ValueError, match=rf"^env\.wrappers: got {message}") as caught:
        envs.inspect(EnvConfig(id=package, wrappers=wrappers))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrapper", [7, None, ["a.B"], {}, {"a.B": 4}, {"a.B": {}, "a.C": {}}, {"a.B": {1: 2}}])
def test_what_is_no_wrapper(wrapper):
    with pytest.raises(ValueError, match=r"^env\.wrappers: got .*; write its dotted name, or {my_pkg\.MyWrapper: {"):
        EnvConfig(id="CartPole-v1", wrappers=[wrapper])


def test_wrappers_with_arguments():
    stack = {"gymnasium.wrappers.FrameStackObservation": {"stack_size": 4}}
    cfg = EnvConfig(id="CartPole-v1", wrappers=[stack, "gymnasium.wrappers.FlattenObservation"])
    assert envs.inspect(cfg).obs_space.shape == (16,)
    assert envs.inspect(EnvConfig(id="CartPole-v1", wrappers=[stack])).obs_space.shape == (4, 4)


def test_wrappers_need_one_env_at_a_time():
    cfg = EnvConfig(id="CartPole-v1", wrappers=["gymnasium.wrappers.TimeAwareObservation"])
    assert envs.inspect(cfg).backend == "sync"
    assert envs.inspect(cfg).obs_space.shape == (5,)
    with pytest.raises(ValueError, match=r"^env\.wrappers: got .*write env\.backend=sync"):
        envs.inspect(EnvConfig(id=cfg.id, wrappers=cfg.wrappers, backend="vector_entry_point"))


def test_envs_can_be_drawn():
    for backend in ("sync", "vector_entry_point", "native"):
        cfg = EnvConfig(id="CartPole-v1", num_envs=1, backend=backend)
        made = envs.make(cfg, num_sessions=2, render_mode="rgb_array")
        made.reset([1, 2])
        pictures = made.vector.render()
        assert [picture.shape for picture in pictures] == [(400, 600, 3)] * 2
        made.close()


class Constant:
    """Acts alike in all sessions."""

    def __call__(self, obs, starts):
        return np.zeros(obs.shape[:2], np.int64)


@pytest.mark.parametrize(
    ("env_id", "backend", "kwargs"),
    [
        ("CartPole-v1", "vector_entry_point", {}),
        ("CartPole-v1", "native", {}),
        ("CartPole-v1", "sync", {}),
        ("CartPole-v1", "async", {}),
        ("LunarLander-v3", "envpool", {}),
        ("ALE/Pong-v5", "ale", {"max_num_frames_per_episode": 200}),
    ],
)
def test_rigorous_evaluation_repeats_itself_with_every_backend(env_id, backend, kwargs):
    cfg = EnvConfig(id=env_id, num_envs=1, backend=backend, kwargs=kwargs, num_threads=1)
    one, two = (Evaluator(cfg, sessions=range(n), num_episodes=2, num_envs=2, seed=0) for n in (1, 2))
    act = Constant()
    try:
        first, _ = (one.run(act, frame) for frame in (100, 200))
        again, beside = one.run(act, 100), two.run(act, 100)
        assert (first.lengths > 5).all()
        for name in ("returns", "lengths"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
            np.testing.assert_array_equal(getattr(first, name)[0], getattr(beside, name)[0])
    finally:
        one.close()
        two.close()
