"""Tiny envs that isolate one failure each, after Andy Jones's probe environments; and one for each action space."""

import gymnasium
import gymnasium.spaces as gs
import numpy as np
from torch import nn


class Probe(gymnasium.Env):
    """Episodes of `length` steps; the observation and the reward are what the subclass says."""

    observation_space = gs.Box(-1.0, 1.0, (1,))
    action_space = gs.Discrete(2)
    length = 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.time = 0
        self.coin = float(self.np_random.choice([-1.0, 1.0]))
        self.first_action = None
        return self.observe(), {}

    def step(self, action):
        if self.time == 0:
            self.first_action = action
        reward = float(self.reward(action))
        self.time += 1
        return self.observe(), reward, self.time >= self.length, False, {}

    def observe(self):
        return np.zeros(1, np.float32)

    def reward(self, action):
        return 1.0


class ValueOnly(Probe):
    """Always 1: the value must be 1."""


class RewardByObs(Probe):
    """The coin is seen and paid: the value must follow the observation."""

    def observe(self):
        return np.array([self.coin], np.float32)

    def reward(self, action):
        return self.coin


class DelayedReward(Probe):
    """1 after two steps: the value of the first must be gamma."""

    length = 2

    def observe(self):
        return np.array([self.time], np.float32)

    def reward(self, action):
        return float(self.time == 1)


class RewardByAction(Probe):
    """Action 1 pays: the policy must choose it."""

    def reward(self, action):
        return float(action == 1)


class RewardByActionAndObs(RewardByObs):
    """The action must match the coin."""

    def reward(self, action):
        return float(action == (self.coin > 0))


class TwoStepCredit(DelayedReward):
    """The first action decides, the second step pays."""

    def reward(self, action):
        return float(self.time == 1 and self.first_action == 1)


class SecondActionPays(DelayedReward):
    """Action 1 pays in the second step: what the first is worth depends on the policy that follows."""

    def reward(self, action):
        return float(self.time == 1 and action == 1)


class Truncated(Probe):
    """Always 1, cut by a time limit: with gamma 0.9 the value must be 10, not that of a short episode."""

    def step(self, action):
        obs, reward, _, _, info = super().step(action)
        return obs, reward, False, self.time >= 3, info


class Scripted(Probe):
    """Episodes of 1, 2 and 3 steps in turn; a life is lost at each step. `plain`: its state can be saved."""

    def __init__(self, *, plain=True):
        self.number = 0
        self.handle = None if plain else object()

    def reset(self, *, seed=None, options=None):
        self.length = 1 + self.number % 3
        self.number += 1
        obs, info = super().reset(seed=seed, options=options)
        return obs, info | {"lives": 5}

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, terminated, truncated, info | {"lives": 5 - self.time}


class Timed(Scripted):
    """The observation is the number of steps since the episode began."""

    observation_space = gs.Box(0.0, 3.0, (1,))

    def observe(self):
        return np.array([self.time], np.float32)


class BrightSide(Probe):
    """An image, half of it bright: the action must name the half."""

    observation_space = gs.Box(0, 255, (2, 10, 10), np.uint8)

    def observe(self):
        image = self.np_random.integers(100, size=(2, 10, 10), dtype=np.uint8)
        image[:, :, 5:] += np.uint8(150 * (self.coin > 0))
        image[:, :, :5] += np.uint8(150 * (self.coin < 0))
        return image

    def reward(self, action):
        return float(action == (self.coin > 0))


class ImageXorSign(Probe):
    """An image, half of it bright, and a number: the action must say whether the half is that of the number's sign.

    Either alone tells nothing. Five steps, each with another pair.
    """

    observation_space = gs.Dict(
        camera=gs.Box(0, 255, (8, 8, 3), np.uint8),
        state=gs.Dict(sign=gs.Box(-9, 9, (1,), np.float64)),
        noise=gs.Discrete(3, start=-1),
    )

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return super().reset(seed=seed, options=options)

    def observe(self):
        self.side = int(self.np_random.integers(2))
        image = np.zeros((8, 8, 3), np.uint8)
        image[:, 4 * self.side : 4 * self.side + 4] = 255
        return {"camera": image, "state": {"sign": np.array([self.coin])}, "noise": int(self.np_random.integers(-1, 2))}

    def step(self, action):
        said = 2.0 * action - 1.0 if isinstance(self.action_space, gs.Discrete) else float(action[0])
        reward = 0.5 + 0.5 * said * self.coin * (2 * self.side - 1)
        self.coin = 2.0 * self.np_random.integers(2) - 1.0
        self.time += 1
        return self.observe(), reward, self.time == 5, False, {}


class Undrawn(Probe):
    """It says that it can be drawn, but has no constructor that would take a render mode."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 - as Gymnasium has it


class UndrawnByKeyword(Undrawn):
    def __init__(self, *, length=1):
        self.length = length


class UndrawnSilently(Undrawn):
    def __init__(self, **ignored):
        pass


class UndrawnHere(Undrawn):
    """It would need a screen."""

    def __init__(self, render_mode=None):
        if render_mode is not None:
            raise OSError("no\nscreen")


class AnySpace(Probe):
    length = 10

    def __init__(self, space):
        self.action_space = space

    def step(self, action):
        assert self.action_space.contains(action), action
        return super().step(action)


class Torso(nn.Module):
    """What a user would write: knows nothing of sessions."""

    def __init__(self, obs_space):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(obs_space.shape[0], 8), nn.SiLU(), nn.Linear(8, 6), nn.LayerNorm(6))

    def forward(self, obs):
        return self.layers(obs)


class HalfFrozen(Torso):
    """The first of its layers stays as it is."""

    def __init__(self, obs_space):
        super().__init__(obs_space)
        self.layers[0].requires_grad_(False)


for name, space in {
    "multi_discrete": gs.MultiDiscrete([2, 3], start=[0, 5]),
    "multi_binary": gs.MultiBinary(3),
    "box": gs.Box(np.array([-2.0, 0.0], np.float32), np.array([1.0, 10.0], np.float32)),
}.items():
    gymnasium.register(f"{name}-v0", lambda space=space: AnySpace(space))
for cls in (
    ValueOnly,
    RewardByObs,
    DelayedReward,
    RewardByAction,
    RewardByActionAndObs,
    TwoStepCredit,
    SecondActionPays,
    Truncated,
    Scripted,
    Timed,
    Undrawn,
    UndrawnByKeyword,
    UndrawnSilently,
    UndrawnHere,
    BrightSide,
    ImageXorSign,
):
    gymnasium.register(f"{cls.__name__}-v0", cls)


class Pull(RewardByObs):
    """A continuous action that must go half the way to the coin."""

    action_space = gs.Box(-1.0, 1.0, (1,))

    def reward(self, action):
        return -float((action[0] - 0.5 * self.coin) ** 2)


def with_box(cls):
    """The same problem for agents that act in a box."""
    env = cls()
    env.action_space = gs.Box(-1.0, 1.0, (1,))
    return env


gymnasium.register("Pull-v0", Pull)
for cls in (ValueOnly, RewardByObs, DelayedReward, Truncated, ImageXorSign):
    gymnasium.register(f"{cls.__name__}Box-v0", lambda cls=cls: with_box(cls))
