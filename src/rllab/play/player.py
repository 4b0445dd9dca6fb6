"""A trained run that plays: its config, and an agent with the policies of a checkpoint."""

from __future__ import annotations

import dataclasses
import math
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from rllab import checkpoint, config, envs
from rllab.algorithms import Acting
from rllab.algorithms.contract import COUNTS
from rllab.checkpoint import CheckpointError
from rllab.errors import ConfigError
from rllab.files import read_json, value_at
from rllab.links import refuse_links
from rllab.text import one_line
from rllab.training.evaluation import Act, Evaluation, Evaluator, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from rllab.algorithms import Algorithm
    from rllab.config import RunConfig

Which = Literal["best", "last"]
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Player:
    """The policies of one checkpoint of a run; `agent` holds them for all sessions."""

    path: Path
    config: RunConfig
    """As it was saved, but for the device."""
    info: envs.EnvInfo
    agent: Algorithm
    frames: list[int]
    """Of each session: the frame that its policy is from."""
    scores: list[float]
    """Of each session: its best score while it trained; -inf before an episode had finished."""
    explore: bool
    """Act as in training; otherwise greedily."""

    @property
    def best_session(self) -> int:
        """The session that scored best while it trained."""
        return max(range(len(self.scores)), key=self.scores.__getitem__)

    def policy(self, session: int) -> nn.Module:
        """A session's greedy policy as a module, see `Algorithm.policy`."""
        return self.agent.policy(session)

    def act(self, sessions: Sequence[int]) -> Act:
        """How some of the sessions act: ``[len(sessions), n, ...]``, n being `env.num_envs` at most."""
        shape, chosen = (self.config.meta.num_policies, self.config.env.num_envs), list(sessions)
        acting = Acting(self.agent, explore=self.explore)

        def act(obs: np.ndarray, starts: np.ndarray) -> np.ndarray:
            n = obs.shape[1]  # an agent remembers, and draws noise, for all its sub-envs
            all_obs, all_starts = np.zeros((*shape, *obs.shape[2:]), obs.dtype), np.ones(shape, np.bool_)
            all_obs[chosen, :n], all_starts[chosen, :n] = obs, starts
            return acting(all_obs, all_starts)[chosen, :n]

        return act

    def evaluator(self, sessions: Sequence[int], num_episodes: int) -> Evaluator:
        """Plays whole episodes on seeds that neither training nor its evaluations had, in as many sub-envs at once."""
        env, seed = self.config.evaluation_env(), self.config.meta.seed
        sizes = {"num_episodes": num_episodes, "num_envs": env.num_envs}
        return Evaluator(env, sessions=sessions, seed=seed, purpose="test", **sizes)

    def evaluate(
        self, sessions: Sequence[int], *, num_episodes: int, seed: int = 0, watch: Watch | None = None
    ) -> Evaluation:
        """Play whole episodes on seeds that neither training nor its evaluations had.

        Args:
            sessions: which ones play.
            num_episodes: of each of them, shared out evenly among as many sub-envs as in training.
            seed: another number, other episodes.
            watch: shows progress.
        """
        with closing(self.evaluator(sessions, num_episodes)) as evaluator:
            return evaluator.run(self.act(sessions), seed, watch)


def of_policies(cfg: RunConfig, info: envs.EnvInfo, policy: dict[str, Tensor], *, frame: int) -> Player:
    """Those of a run that trains in this process, by the names of their tensors ``[S, ...]``."""
    count = cfg.meta.num_policies
    agent = _with_policy(cfg, info, policy, {})
    return Player(Path(cfg.run_dir), cfg, info, agent, [frame] * count, [-math.inf] * count, explore=False)


def checkpoint_of(run: Path, which: Which) -> Path:
    """The file of a checkpoint."""
    return run / "checkpoints" / f"{which}.safetensors"


def load(
    run: str | Path, which: Which = "best", *, explore: bool = False, device: str = "cpu", trusted: bool = False
) -> Player:
    """The policies of a run that has ended or is still being written.

    Args:
        run: the run directory.
        which: each session's policy at its best score, or the latest one.
        explore: act as at the end of training.
        device: of torch.
        trusted: import the packages that its config names, even if another user or another machine wrote it.

    Raises:
        ConfigError: no run, no such checkpoint, or one that this version of rllab cannot use; one line.
    """
    path = Path(run)
    cfg = read_config(path, trusted=trusted)
    cfg = dataclasses.replace(cfg, meta=dataclasses.replace(cfg.meta, device=device))
    num_policies = cfg.meta.num_policies
    try:
        info = envs.inspect(cfg.env)
    except ValueError as error:
        raise ConfigError(f"{path / 'config.yaml'}: {one_line(error)}") from None
    last, file = checkpoint_of(path, "last"), checkpoint_of(path, "best")
    try:
        best = checkpoint.read(file) if which == "best" or file.exists() else {}
        if which == "best":
            policy, frames = best["policy"], best["frame"]
        else:
            policy, frames = checkpoint.read(last, "algorithm", "policy"), [_frame(last, cfg)] * num_policies
        scores = best.get("score", [-math.inf] * num_policies)
        in_processes = cfg.meta.distributed or cfg.meta.num_workers != 1
        first = ("workers", 0) if in_processes else ()
        saved = checkpoint.read(last, *first, "algorithm") if explore else {}
        agent = _with_policy(cfg, info, policy, saved)
        frames, scores = _of_each(num_policies, frames, int), _of_each(num_policies, scores, float)
    except CheckpointError as error:
        raise ConfigError(_explain(str(error), path, which)) from None
    except KeyError as error:
        raise ConfigError(_explain(f"has no {error}", path, which)) from None
    except (TypeError, AttributeError, OverflowError) as error:
        raise ConfigError(_explain(f"not what a run writes ({one_line(error)[:200]})", path, which)) from None
    except ValueError as error:  # of a network of the user's own that has changed since
        raise ConfigError(f"{path / 'config.yaml'}: {one_line(error)}") from error
    return Player(path, cfg, info, agent, frames, scores, explore)


def read_config(path: Path, *, trusted: bool) -> RunConfig:
    """The config of the run in this directory; `trusted` as in `load`.

    Raises:
        ConfigError: no run, or one whose config this version of rllab does not know; one line.
    """
    if (path / "config.yaml").is_file():
        refuse_links(path)
        return config.load_file(path / "config.yaml", trusted=trusted)
    if trial := next(path.glob("*/config.yaml"), None):
        raise ConfigError(f"{path}: holds several runs; write one of them, e.g. {trial.parent}")
    raise ConfigError(f"{path}: no run directory: it has no config.yaml")


def _frame(last: Path, cfg: RunConfig) -> int:
    """Of the checkpoint `last`; an older one has counted vector steps only."""
    try:
        return int(checkpoint.read(last, "frame"))
    except CheckpointError:
        return int(checkpoint.read(last, "step")) * cfg.env.num_envs


def _of_each(num_policies: int, numbers: list[float], kind: type[_Number]) -> list[_Number]:
    if len(numbers) != num_policies:
        raise CheckpointError(f"holds {len(numbers)} policies where config.yaml says {num_policies}")
    return [kind(number) for number in numbers]


def _with_counts(state: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """An agent's state with the `COUNTS` of a `saved` one, also those of its sampler."""
    known = state | {name: saved[name] for name in COUNTS if name in state and name in saved}
    return {name: _with_counts(x, saved.get(name, {})) if name == "sampler" else x for name, x in known.items()}


def _with_policy(cfg: RunConfig, info: envs.EnvInfo, policy: dict[str, Tensor], saved: dict[str, Any]) -> Algorithm:
    """A new agent with these policies of all sessions, which has acted for as many frames as the `saved` one.

    Raises:
        CheckpointError: they do not fit what this version of rllab makes of the config.
    """
    agent = cfg.make_algorithm(info.obs_space, info.action_space, cfg.meta.num_policies, cfg.meta.seed)
    state = agent.state_dict()
    wanted, given = ({name: tuple(x.shape) for name, x in each.items()} for each in (state["policy"], policy))
    for name in wanted | given:
        if wanted.get(name) != given.get(name):
            raise CheckpointError(
                f"{name} is {given.get(name, 'not there')} where config.yaml makes {wanted.get(name, 'nothing')}"
            )
    agent.load_state_dict(_with_counts(state, saved) | {"policy": policy})
    return agent


def _explain(problem: str, path: Path, which: Which) -> str:
    """One line for a checkpoint that cannot be used."""
    file = checkpoint_of(path, which)
    if not file.is_file():
        why = "no episode had finished, or" if which == "best" else "there was no log checkpoint yet, or"
        other = "; try --checkpoint last" if which == "best" and file.with_name("last.safetensors").is_file() else ""
        return f"{file}: not there: {why} the search kept other trials{other}"
    author = value_at(read_json(path / "provenance.json"), "versions", "rllab")
    problem = problem if problem.startswith(str(path)) else f"{file}: {problem}"
    return f"{problem} (written by rllab {author or 'of an unknown version'}, this is {version('rllab')})"
