import collections
import copy
from contextlib import closing
from pathlib import Path
from typing import get_args

import gymnasium
import gymnasium.spaces as gs
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from rllab import checkpoint, envs
from rllab import config as schema
from rllab.config import EnvConfig
from rllab.envs.backends import BACKENDS
from rllab.envs.cartpole import SeededCartPoleVectorEnv

CONF = Path(__file__).parents[2] / "conf" / "env"
PRESETS = sorted(path.stem for path in CONF.glob("*.yaml") if "- atari" not in path.read_text())  # one game will do
PLAIN = {"Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"}


class Opaque(CartPoleEnv):
    """Holds something that cannot be saved as plain data."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.engine = object()


def opaque_vector(**kwargs):
    return CartPoleVectorEnv(**kwargs)


class Unflattenable(CartPoleEnv):
    def __init__(self):
        super().__init__()
        self.observation_space = gs.Sequence(gs.Discrete(3))


class NoAxes(gymnasium.Env):
    """Observes one number, 4 and then more, as an array without axes."""

    observation_space = gs.Box(0, 9, ())
    action_space = gs.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.obs = np.float32(4)
        return self.obs, {}

    def step(self, action):
        self.obs += action
        return self.obs, 0.0, False, False, {}


@pytest.fixture(scope="module", autouse=True)
def _registered():
    made = {
        "rllab-test/Opaque-v0": {"entry_point": Opaque},
        "rllab-test/OneGenerator-v0": {"entry_point": CartPoleEnv, "vector_entry_point": opaque_vector},
        "rllab-test/Unflattenable-v0": {"entry_point": Unflattenable},
        "rllab-test/NoAxes-v0": {"entry_point": NoAxes},
    }
    for name, entry_points in made.items():
        gymnasium.register(name, max_episode_steps=30, **entry_points)
    yield
    for name in made:
        del gymnasium.registry[name]


def config(env_id, num_envs=2, **kwargs):
    return EnvConfig(id=env_id, num_envs=num_envs, **kwargs)


def action_source(made, seed=0):
    """Actions `[S, N, ...]`; session s draws its own, whatever S is."""
    rngs = [np.random.default_rng([seed, s]) for s in range(made.shape[0])]
    space, num_envs = made.action_space, made.shape[1]

    def draw():
        if isinstance(space, gs.Discrete):
            return np.stack([rng.integers(0, space.n, num_envs) for rng in rngs])
        return np.stack([rng.uniform(-1.2, 1.2, (num_envs, *space.shape)).astype("float32") for rng in rngs])

    return draw


def play(made, draw, steps):
    rows = []
    for _ in range(steps):
        *row, finished = made.step(draw())
        rows.append([np.array(x) for x in row] + [None if finished is None else list(map(list, finished))])
    return rows


def assert_equal_rows(first, second):
    for x, y in zip(first, second, strict=True):
        for a, b in zip(x[:4], y[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        assert x[4] == y[4]


@pytest.mark.parametrize("name", PRESETS)
def test_state_of_every_preset_continues_in_the_middle_of_episodes(name, tmp_path, load_config):
    cfg = load_config(f"env={name}", "env.num_envs=2").env
    first = envs.make(cfg, num_sessions=2)
    first.reset([1, 2, 3, 4])
    draw = action_source(first)
    play(first, draw, 1)
    if first.state_dict()["envs"] is None:
        assert cfg.id not in PLAIN
        return
    play(first, draw, 225)  # past the end of the short episodes
    state = first.state_dict()
    checkpoint.write(tmp_path / "state.safetensors", state)
    second = envs.make(cfg, num_sessions=2)
    second.reset([5, 6, 7, 8])
    play(second, action_source(second, seed=1), 31)  # whatever it did before must leave no trace
    second.load_state_dict(checkpoint.read(tmp_path / "state.safetensors"))
    np.testing.assert_array_equal(first.obs, second.obs)
    expected, actual = [], []
    for _ in range(800):
        action = draw()
        expected += play(first, lambda action=action: action, 1)
        actual += play(second, lambda action=action: action, 1)
    assert_equal_rows(expected, actual)
    # episodes ended, so resets came from the right generators
    assert any(row[4] is not None for row in expected)
    first.close()
    second.close()


@pytest.mark.parametrize("steps", range(18, 24))
def test_state_saved_just_before_a_reset_row(steps):
    cfg = config("CartPole-v1")
    for backend in ("native", "vector_entry_point", "sync"):
        first, second = (
            envs.make(EnvConfig(id=cfg.id, num_envs=2, max_episode_steps=20, backend=backend), num_sessions=1)
            for _ in range(2)
        )
        first.reset([1, 2])
        second.reset([3, 4])
        balance = lambda made: lambda: (made.obs[..., 2] + 0.5 * made.obs[..., 3] > 0).astype(int)  # noqa: E731
        play(first, balance(first), steps)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        rows = play(first, balance(first), 45)
        assert_equal_rows(rows, play(second, balance(second), 45))
        assert sum(row[3].sum() for row in rows) >= 4  # truncations of both envs


class Diary(gymnasium.Wrapper):
    """Holds containers of all kinds."""

    def __init__(self, env):
        super().__init__(env)
        self.seen = {"pairs": [(1, 2.5)], 3: collections.deque([np.zeros(2)], maxlen=2), (4, 5): {}}

    def step(self, action):
        self.seen[3].append(np.full(2, action))
        self.seen["latest"] = action
        return super().step(action)


def test_wrappers_with_containers_go_on(tmp_path):
    stack = {"gymnasium.wrappers.FrameStackObservation": {"stack_size": 4}}
    cfg = EnvConfig(id="CartPole-v1", num_envs=2, max_episode_steps=20, wrappers=[f"{__name__}.Diary", stack])
    first, second = (envs.make(cfg, num_sessions=1) for _ in range(2))
    first.reset([1, 2])
    second.reset([3, 4])
    play(first, action_source(first), 30)
    checkpoint.write(tmp_path / "state.safetensors", first.state_dict())
    second.load_state_dict(checkpoint.read(tmp_path / "state.safetensors"))
    diaries = [made.vector.unwrapped.envs[0].get_wrapper_attr("seen") for made in (first, second)]
    assert list(diaries[0]) == list(diaries[1])
    assert [type(value) for value in diaries[1].values()] == [type(value) for value in diaries[0].values()]
    assert diaries[1][3].maxlen == 2
    draw = action_source(first)
    actions = [draw() for _ in range(45)]
    rows = [play(made, iter(actions).__next__, 45) for made in (first, second)]
    assert rows[0][0][0].shape == (1, 2, 4, 4)
    assert_equal_rows(*rows)


def test_state_is_a_copy():
    made = envs.make(config("Pendulum-v1"), num_sessions=1)
    made.reset([0, 1])
    draw = action_source(made)
    play(made, draw, 3)
    state = made.state_dict()
    frozen = copy.deepcopy(state)
    play(made, draw, 3)
    np.testing.assert_equal(state, frozen)


@pytest.mark.parametrize("env_id", ["rllab-test/Opaque-v0", "rllab-test/OneGenerator-v0"])
def test_an_env_that_is_not_plain_data_has_no_state(env_id):
    cfg = config(env_id, backend="sync")
    made = envs.make(cfg, num_sessions=2)
    made.reset([0, 1, 2, 3])
    assert (made.state_dict()["envs"] is None) == (env_id == "rllab-test/Opaque-v0")


def test_envs_of_other_processes_have_no_state_and_play_the_same():
    made = {
        backend: envs.make(config("Pendulum-v1", num_envs=1, backend=backend), num_sessions=2)
        for backend in ("sync", "async")
    }
    try:
        assert isinstance(made["async"].vector.unwrapped, AsyncVectorEnv)
        rows = []
        for e in made.values():
            e.reset([3, 4])
            rows.append(play(e, action_source(e), 5))
        assert_equal_rows(*rows)
        assert made["async"].state_dict()["envs"] is None
    finally:
        made["async"].close()


@pytest.mark.parametrize(
    ("env_id", "backend"),
    [
        ("CartPole-v1", "auto"),
        ("CartPole-v1", "sync"),
        ("Acrobot-v1", "auto"),
        ("Pendulum-v1", "auto"),
        ("rllab-test/OneGenerator-v0", "auto"),  # its vectorised form is not taken even for one session
    ],
)
def test_a_session_plays_the_same_however_many_run_beside_it(env_id, backend):
    cfg = config(env_id, backend=backend, kwargs={"max_episode_steps": 60})
    rows = []
    for num_sessions in (1, 3):
        made = envs.make(cfg, num_sessions=num_sessions)
        made.reset(list(range(100, 100 + 2 * num_sessions)))
        rows.append(play(made, action_source(made), 130))
    for one, three in zip(*rows, strict=True):
        for x, y in zip(one[:4], three[:4], strict=True):
            np.testing.assert_array_equal(x[0], y[0])
    ended = [[row[4] for row in r if row[4] is not None] for r in rows]
    assert ended[0]
    of_session_0 = [[(e, g, n) for s, e, g, n in zip(*f[:4], strict=True) if s == 0] for f in ended[1]]
    assert [e for e in of_session_0 if e] == [list(zip(*f[1:4], strict=True)) for f in ended[0]]


def test_backends():
    for num_sessions in (1, 3):
        made = envs.make(config("rllab-test/OneGenerator-v0"), num_sessions=num_sessions)
        assert isinstance(made.vector.unwrapped, SyncVectorEnv)
    made = envs.make(config("CartPole-v1", backend="gymnasium"), num_sessions=3)
    assert isinstance(made.vector.unwrapped, SeededCartPoleVectorEnv)
    for cfg in (config("CartPole-v1", backend="sync"), config("Acrobot-v1", backend="gymnasium")):
        assert isinstance(envs.make(cfg, num_sessions=3).vector.unwrapped, SyncVectorEnv)


def test_shapes_spaces_and_rescaled_actions():
    made = envs.make(config("Pendulum-v1"), num_sessions=3)
    assert made.shape == (3, 2)
    assert made.reset(list(range(6))).shape == (3, 2, 3)
    assert made.action_space == gs.Box(-1, 1, (1,), np.float32)
    assert envs.inspect(config("Pendulum-v1")).action_space == made.action_space
    obs, reward, terminated, truncated, finished = made.step(np.zeros((3, 2, 1), np.float32))
    assert obs.shape == (3, 2, 3)
    assert obs.dtype == np.float32
    assert reward.shape == terminated.shape == truncated.shape == (3, 2)
    assert finished is None
    assert envs.make(config("Pendulum-v1"), num_sessions=3, num_envs=5).shape == (3, 5)


def test_discrete_observations_are_flattened_with_a_note():
    info = envs.inspect(config("FrozenLake-v1"))
    assert info.obs_space.shape == (16,)
    assert info.notes == ("observations of Discrete are flattened to (16,)",)
    made = envs.make(config("FrozenLake-v1", kwargs={"is_slippery": False}), num_sessions=2)
    obs = made.reset([0, 1, 2, 3])
    assert made.obs_space == info.obs_space
    assert obs.shape == (2, 2, 16)
    assert obs.argmax(-1).tolist() == [[0, 0], [0, 0]]
    right = np.full((2, 2), 2)
    assert made.step(right)[0].argmax(-1).tolist() == [[1, 1], [1, 1]]
    assert (obs.sum(-1) == 1).all()


@pytest.mark.parametrize("backend", ["sync", "async"])
def test_observations_without_axes_are_flattened_with_a_note(backend):
    cfg = config("rllab-test/NoAxes-v0", backend=backend)
    info = envs.inspect(cfg)
    assert info.obs_space == gs.Box(0, 9, (1,))
    assert info.notes == ("observations of Box are flattened to (1,)",)
    with closing(envs.make(cfg, num_sessions=2)) as made:
        assert made.obs_space == info.obs_space
        assert made.reset([0, 1, 2, 3]).tolist() == [[[4], [4]], [[4], [4]]]
        assert made.step(np.ones((2, 2), np.int64))[0].tolist() == [[[5], [5]], [[5], [5]]]


def test_inspect_knows_the_threshold_and_the_config_wins():
    assert envs.inspect(config("CartPole-v1")).reward_threshold == 475
    assert envs.inspect(config("CartPole-v1", reward_threshold=100)).reward_threshold == 100
    assert envs.inspect(config("Pendulum-v1")).reward_threshold is None
    assert envs.inspect(config("CartPole-v1")).notes == ()


def test_kwargs_reach_the_env():
    cfg = config("CartPole-v1", kwargs={"max_episode_steps": 5})
    for backend in ("auto", "sync"):
        made = envs.make(EnvConfig(id=cfg.id, num_envs=1, kwargs=cfg.kwargs, backend=backend), num_sessions=1)
        made.reset([0])
        rows = play(made, lambda: np.array([[0]]), 5)
        assert [bool(row[3][0, 0]) for row in rows] == [False] * 4 + [True]


def test_an_id_may_name_the_package_that_registers_it():
    assert envs.inspect(config("gymnasium:CartPole-v1")).obs_space.shape == (4,)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (config("CartPool-v1"), r"env\.id: got 'CartPool-v1', .*did you mean env\.id=CartPole-v1\?"),
        (config("xyz"), r"env\.id: got 'xyz', .*write a Gymnasium id or my_pkg:MyEnv-v0"),
        (config("no_such_pkg:CartPole-v1"), r"env\.id: got 'no_such_pkg:CartPole-v1', .*No module named"),
        (config("CartPole-v1", kwargs={"nope": 1}), r"env\.kwargs\.nope: got "),
        (config("rllab-test/Unflattenable-v0"), r"env\.id: got 'rllab-test/Unflattenable-v0', .*flattened"),
    ],
)
def test_inspect_refuses_in_one_line(cfg, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        envs.inspect(cfg)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cfg", [config("CartPool-v1"), config("Pendulum-v1", kwargs={"nope": 1})])
def test_make_refuses_as_inspect_does(cfg):
    with pytest.raises(ValueError, match=r"^env\.(id|kwargs\.nope): got "):
        envs.make(cfg, num_sessions=1)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (config("Pendulum-v1", backend="vector_entry_point"), "Pendulum-v1 does not have; write"),
        (
            config("rllab-test/OneGenerator-v0", backend="vector_entry_point"),
            "one generator for all sessions",
        ),
    ],
)
def test_a_backend_that_cannot_be_honoured_is_refused(cfg, message):
    with pytest.raises(ValueError, match=rf"^env\.backend: got 'vector_entry_point', .*{message}"):
        envs.make(cfg, num_sessions=2)


def test_every_backend_has_a_name_in_the_schema():
    assert set(get_args(schema.Backend)) == {"auto", "gymnasium", *BACKENDS}
