"""A short check of an env that steps it: does it keep what the training loop relies on?"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import gymnasium.spaces as gs
import numpy as np
from gymnasium.vector.utils import batch_space

from rllab.envs.make import MAX_STEPS, has_time_limit, make
from rllab.envs.sessions import HUGE, EnvError, Finished, SessionEnvs
from rllab.envs.sub_env import global_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rllab.config import EnvConfig
    from rllab.envs.actions import ActionMap
    from rllab.envs.make import EnvInfo

_SHAPE = (2, 2)
"""Number of sessions, and of sub-envs in each, of the check."""
_STEPS, _AFTERWARDS = 3000, 200
"""The most vector steps of a walk: altogether, and after the first end of an episode."""
_NUM_ACTIONS = 200
_LARGE = 100.0
"""Observations with larger numbers than this are hard to learn from."""
_SECONDS = 10.0
"""A walk ends after so many seconds at the latest, whether an episode has ended or not."""


@dataclass(frozen=True)
class Finding:
    """One line of the result. A note is something that a person should know although it is not wrong."""

    name: str
    level: Literal["ok", "note", "wrong"]
    text: str


class Walk(NamedTuple):
    """What random actions led to, in T vector steps."""

    obs: np.ndarray  # [T + 1, S, N, ...]
    reward: np.ndarray  # [T, S, N]
    done: np.ndarray  # [T, S, N]
    finished: list[tuple[int, Finished]]
    seconds: float
    drew_globally: bool


def check_env(config: EnvConfig, info: EnvInfo) -> Iterator[Finding]:
    """Make a few sub-envs as for training, walk at random, and yield what is found.

    Args:
        config: the task.
        info: what `inspect` has found of it.

    Raises:
        ValueError: the env cannot be made; one line.
    """
    config = dataclasses.replace(config, clip_reward=False, life_loss_terminal=False)  # to see raw rewards
    yield Finding("spaces", "ok", f"observations {_text(info.obs_space)}, actions {_text(info.action_space)}")
    for note in info.notes:
        yield Finding("spaces", "note", note)
    yield _check_actions(info.actions)
    envs = make(config, num_sessions=_SHAPE[0], num_envs=_SHAPE[1])
    try:
        yield from _check_walks(envs, limited=has_time_limit(config))
    except EnvError as error:
        yield Finding("steps", "wrong", str(error))
    finally:
        envs.close()


def _text(space: gs.Space[Any]) -> str:
    return f"Box{space.shape} {space.dtype}" if isinstance(space, gs.Box) else str(space)


def _check_actions(actions: ActionMap) -> Finding:
    """Check that whatever an agent may choose arrives inside of the env's own action space."""
    space = batch_space(actions.agent_space, _NUM_ACTIONS)
    space.seed(0)
    chosen = np.asarray(space.sample())
    if actions.bounds is not None:  # agents explore far beyond [-1, 1]
        chosen = (3.0 * np.random.default_rng(0).normal(size=chosen.shape)).astype(np.float32)
    outside = sum(not actions.env_space.contains(np.asarray(each)) for each in actions.to_env(chosen))
    if outside:
        return Finding("actions", "wrong", f"{outside} of {_NUM_ACTIONS} lie outside of {actions.env_space}")
    return Finding("actions", "ok", f"{_NUM_ACTIONS} that an agent may choose arrive inside of {actions.env_space}")


def _check_walks(envs: SessionEnvs, *, limited: bool) -> Iterator[Finding]:
    seeds = list(range(_SHAPE[0] * _SHAPE[1]))
    walk = _walk(envs, seeds)
    steps = len(walk.reward)
    rate = steps * walk.reward[0].size / max(walk.seconds, 1e-9)
    sub_envs = walk.reward[0].size
    yield Finding("steps", "ok", f"{steps:,} at random, {rate:,.0f} frames per second with {sub_envs} sub-envs")
    if outside := _outside(envs.obs_space, walk.obs):
        yield Finding("spaces", "note", f"{outside:.1%} of the observations lie outside of their space")
    if envs.obs_space.dtype != np.uint8 and (size := float(np.abs(walk.obs).max())) > _LARGE:
        text = (
            f"observations are as large as {size:,.4g}: networks want numbers near 1; agent.normalize_obs=true scales"
        )
        yield Finding("scale", "note", text)
    yield _check_seeds(walk, _walk(envs, seeds), _walk(envs, [seed + 1000 for seed in seeds]))
    if walk.drew_globally:
        text = "draws from a global generator, so that sessions in one process depend on each other: use self.np_random"
        yield Finding("seeding", "note", text)
    yield _check_autoreset(walk)
    if not limited:
        text = f"evaluations cut episodes at {MAX_STEPS:,} steps, for the env has none; env.max_episode_steps sets one"
        yield Finding("limit", "note", text)
    yield _check_statistics(walk)


def _walk(envs: SessionEnvs, seeds: list[int]) -> Walk:
    """Act at random until some steps after the first end of an episode, or as long as is allowed."""
    actions = batch_space(envs.action_space, len(seeds))
    actions.seed(0)
    obs, rewards, dones = [envs.reset(seeds).copy()], list[np.ndarray](), list[np.ndarray]()
    finished: list[tuple[int, Finished]] = []
    generators = global_bytes()
    started, left = time.monotonic(), _STEPS
    while left and (len(rewards) < 2 or time.monotonic() - started < _SECONDS):
        action = np.asarray(actions.sample())
        after, reward, terminated, truncated, ended = envs.step(action.reshape(*_SHAPE, *action.shape[1:]))
        obs.append(after.copy())
        rewards.append(reward.copy())
        dones.append(terminated | truncated)
        left -= 1
        if ended is not None:
            if not finished:
                left = min(left, _AFTERWARDS)
            finished.append((len(rewards) - 1, ended))
    drew = global_bytes() != generators
    return Walk(np.stack(obs), np.stack(rewards), np.stack(dones), finished, time.monotonic() - started, drew)


def _check_seeds(walk: Walk, again: Walk, other: Walk) -> Finding:
    if not _same(walk, again):
        return Finding("seeding", "wrong", "the same seeds and actions gave another walk: use self.np_random only")
    if _same(walk, other):
        return Finding("seeding", "note", "other seeds gave the same walk: the env knows no chance")
    return Finding("seeding", "ok", "the same seeds and actions give the same walk, other seeds another one")


def _outside(space: gs.Space[Any], obs: np.ndarray) -> float:
    """The share of the observations ``[T + 1, S, N, ...]`` that lie outside of their box."""
    assert isinstance(space, gs.Box)  # other spaces have been flattened to one
    outside = (obs < space.low) | (obs > space.high)
    return float(outside.reshape(*obs.shape[:3], -1).any(axis=-1).mean())


def _same(walk: Walk, other: Walk) -> bool:
    steps = min(len(walk.reward), len(other.reward))  # a walk in a slow env may have been cut short
    return np.array_equal(walk.obs[: steps + 1], other.obs[: steps + 1]) and np.array_equal(
        walk.reward[:steps], other.reward[:steps]
    )


def _check_autoreset(walk: Walk) -> Finding:
    resets = walk.done[:-1]
    if not resets.any():
        return Finding("autoreset", "note", f"no episode ended within {len(walk.reward):,} steps: not seen")
    if walk.done[1:][resets].any():
        return Finding("autoreset", "wrong", "an episode ended in the row that only resets")
    if walk.reward[1:][resets].any():
        return Finding("autoreset", "wrong", "there is a reward in the row that only resets")
    return Finding("autoreset", "ok", f"{resets.sum():,} episodes ended, and began anew in the next row")


def _check_statistics(walk: Walk) -> Finding:
    """Compare the returns and lengths that were reported with sums over the rows of the walk."""
    if np.abs(walk.reward).max() >= HUGE:
        return Finding("rewards", "note", f"rewards beyond {HUGE:g} are learned from as {HUGE:g}")
    returns, lengths = np.zeros(_SHAPE), np.zeros(_SHAPE, np.int64)
    reported = dict(walk.finished)
    resetting = np.zeros(_SHAPE, bool)
    number = 0
    for step, (reward, done) in enumerate(zip(walk.reward, walk.done, strict=True)):
        returns, lengths = np.where(resetting, 0, returns + reward), np.where(resetting, 0, lengths + 1)
        ended = reported.get(step)
        rows = set() if ended is None else set(zip(ended.session.tolist(), ended.env.tolist(), strict=True))
        if rows != set(map(tuple, np.argwhere(done).tolist())):
            return Finding("episodes", "wrong", f"at step {step} others ended than were reported")
        if ended is not None:
            number += len(rows)
            mine = returns[ended.session, ended.env], lengths[ended.session, ended.env]
            if not (np.allclose(mine[0], ended.returns) and np.array_equal(mine[1], ended.lengths)):
                return Finding("episodes", "wrong", f"at step {step}: {mine} is not what was reported: {ended[2:]}")
        resetting = done
    if not number:
        return Finding("episodes", "note", "none ended, so returns and lengths were not compared")
    return Finding("episodes", "ok", f"returns and lengths of {number:,} episodes are the sums of their rows")
