"""Sessions that train in lockstep in one process: what they are made of, and what they report at checkpoints."""

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from torch import nn

from rllab import envs
from rllab.algorithms import Acting
from rllab.config import RunConfig
from rllab.envs import DivergedError
from rllab.envs.sub_env import global_state, set_global_state
from rllab.errors import ConfigError
from rllab.functional.finite import not_finite
from rllab.functional.schedules import make_schedule
from rllab.nets.compiled import NotCompiledError, compile_networks
from rllab.random.streams import Seed, session_seeds
from rllab.tracking.tracker import Episode, Row, Tracker
from rllab.training import initial
from rllab.training.best import Best
from rllab.training.evaluation import Evaluator, Watch
from rllab.training.loop import Clock, Event, train
from rllab.training.walk import InOneCall, StepByStep, Walk

CheckpointKind = Literal["log", "eval"]

KERNELS = "kernels: "
"""How the note begins that says what runs in C++."""

COMPILE = "compile: "
"""How the note begins that says what torch.compile compiles."""


class CheckpointReport(NamedTuple):
    """What the sessions report at a log or evaluation checkpoint: rows to write down, and scores."""

    kind: CheckpointKind
    frame: int
    rows: list[Row]
    """Tags and values of each session."""
    scores: list[float]
    """Of each session, as it is now: that of the latest evaluation, or the mean return of the last 100 episodes."""
    best_scores: list[float]
    worker_rows: Sequence[Row] = ()
    """With Hogwild: what each worker says of itself; `rows` has one row, that of their policy."""
    ended: Sequence[tuple[int, Episode]] = ()
    """Where there are callbacks: the episodes since the last log checkpoint, and the session (with Hogwild the worker)
    of each."""
    episodes: Sequence[Episode] = ()
    """With Hogwild: the latest episodes of a worker, see `Tracker.last_episodes`."""


class Sessions:
    """Some or all sessions of a trial, with the one loop that trains them."""

    def __init__(
        self,
        cfg: RunConfig,
        info: envs.EnvInfo,
        numbers: range,
        *,
        clock: Clock | None = None,
        watch: Watch | None = None,
        callbacks: bool = False,
    ) -> None:
        """Make envs, algorithm and buffer; no episode has begun yet.

        `numbers` says which sessions of the trial train here: their random streams do not depend on what trains
        elsewhere. `watch` is told how far an evaluation is. Where there are `callbacks`, episodes are reported one by
        one.
        """
        self.cfg, self.numbers = cfg, numbers
        self.seed = Seed(cfg.meta.seed, numbers.start)
        num_sessions = len(numbers)
        self.envs = envs.make(cfg.env, num_sessions=num_sessions)
        self.envs.first_session = numbers.start
        self.algorithm = cfg.make_algorithm(info.obs_space, info.action_space, num_sessions, self.seed)
        self.acting = Acting(self.algorithm, explore=True)
        self.buffer = self.algorithm.make_buffer()
        self.walk: Walk = StepByStep(self.envs, self.acting, self.buffer)
        self.kernels: dict[str, str | None] = {}  # what there are kernels of, and why one is not used
        self.tracker = Tracker(num_sessions)
        if callbacks:
            self.tracker.fresh = []
        self.clock = clock or Clock(cfg.env.num_envs, cfg.env.max_frame)
        self.evaluator = None
        if cfg.meta.evaluates:
            episodes, sessions = cfg.meta.eval_episodes, range(num_sessions)
            self.evaluator = Evaluator(
                cfg.evaluation_env(), sessions=sessions, num_episodes=episodes, num_envs=episodes, seed=self.seed
            )
            self.evaluator.envs.first_session = numbers.start
        self.evaluation: list[float] = [math.nan] * num_sessions
        self.best = Best(num_sessions)
        self.envs_failed = self.compiled = False
        self.set_values: dict[str, float] = {}  # coefficients that a callback has set
        self.owed: list[CheckpointKind] = []  # checkpoints at this frame whose evaluation was interrupted
        self.watch = watch

    @property
    def frame(self) -> int:
        return self.clock.frame

    @property
    def finished(self) -> bool:
        """Whether the budget is used up, and every checkpoint has been reported."""
        return self.clock.finished and not self.owed

    def begin(self, state: dict[str, Any] | None = None, best: dict[str, Any] | None = None) -> list[str]:
        """Begin an episode in every sub-env, or go on from the `state` and the `best` of a run that was stopped.

        Returns notes for a person, one line each.
        """
        notes: list[str] = []
        if self._wants_kernels(state) and (used := self._use_kernels()):
            notes.append(KERNELS + used)
        if self._wants_compile(state):
            notes.append(COMPILE + self._compile())
        if state is None:
            if not self.cfg.meta.distributed and (origin := initial.read(self.cfg.meta)):
                origin.give(self.algorithm, self.numbers)
            self.envs.reset(self._env_seeds())
        else:
            notes += self._restore(state)
        if best is not None:
            self.best.load_state_dict(best)
        self.tracker.start(self.clock.taken)
        return notes

    def _wants_kernels(self, state: dict[str, Any] | None) -> bool:
        """Whether updates may run in kernels: a run goes on as it began. Hogwild's workers change a policy in torch."""
        meta = self.cfg.meta
        return meta.kernels == "auto" and not meta.distributed and (state is None or state.get("kernels", False))

    def _use_kernels(self) -> str:
        """Take what kernels fit; says what runs in C++ now, what does not, and why."""
        used = self.algorithm.use_kernels()
        if walk := InOneCall.fit(self.envs, self.acting, self.buffer):
            self.walk = walk
            used["envs"] = None
        self.kernels = used
        names = {why: ", ".join(name for name, each in used.items() if each == why) for why in used.values()}
        return "; ".join(f"no kernel for {names[why]}: {why}" if why else f"{names[why]} in C++" for why in names)

    def _wants_compile(self, state: dict[str, Any] | None) -> bool:
        """Whether networks are to be compiled: here, too, a run goes on as it began."""
        return self.cfg.meta.compile and (state is None or state.get("compile", False))

    def _compile(self) -> str:
        """Have networks compiled where no kernel does their work; returns what is compiled, in words."""
        algorithm = self.algorithm
        if self.kernels.get("updates", "") is None:
            return "nothing, for the update runs in C++"
        modules = [value for value in vars(algorithm).values() if isinstance(value, nn.Module)]
        try:
            used = compile_networks(modules, algorithm.device)
        except NotCompiledError as error:
            return f"nothing, for {error}"
        self.compiled = True
        return used

    def _restore(self, state: dict[str, Any]) -> list[str]:
        notes = []
        self.clock.restore(state["step"], state["frame"])
        self.algorithm.load_state_dict(state["algorithm"])
        self.acting.state = state["acting"]
        self.buffer.load_state_dict(state["buffer"])
        if not self.buffer.save:
            notes.append("the replay buffer was not saved: it fills anew, up to agent.learning_starts")
        self.tracker.load_state_dict(state["tracker"])
        self.evaluation = state["evaluation"]
        self.owed = state.get("owed", [])
        self.set(state.get("set_values", {}))
        self.envs.reset(self._env_seeds(self.clock.frame))
        if state["envs"]["envs"] is None:
            self.buffer.restart()
            self.tracker.restart()
            notes.append(f"the state of {self.cfg.env.id} was not saved: its episodes begin anew")
        else:
            self.envs.load_state_dict(state["envs"])
        if "generators" in state:
            set_global_state(state["generators"])
        return notes

    def _env_seeds(self, *key: int) -> list[int]:
        """One seed for each sub-env, session by session."""
        num_sessions, num_envs = self.envs.shape
        return [s for session in range(num_sessions) for s in session_seeds(self.seed, session, "env", num_envs, *key)]

    def train(self, tell: Callable[[CheckpointReport], None], *events: Event) -> None:
        """Train to the budget, or until `stop`; `tell` gets a report at each checkpoint.

        Raises:
            EnvError: an env failed; `state_dict` holds what there is.
            DivergedError: a session's losses, parameters or actions are not finite, found at the latest here.
        """
        meta = self.cfg.meta
        # evaluation first: a log checkpoint at the same frame then knows its score
        checkpoints = (
            Event(meta.eval_frequency, lambda: self._say("eval", tell)),
            Event(meta.log_frequency, lambda: self._say("log", tell)),
        )
        gc.freeze()  # what start-up has left need not be searched for garbage again and again
        try:
            owed, self.owed = self.owed, []
            for kind in owed:
                self._say(kind, tell)
            train(self.walk, self.algorithm, self.tracker, [*checkpoints, *events], self.clock)
        except envs.EnvError:
            self.envs_failed = not self.owed  # otherwise it was one of those that evaluate
            self.refuse_divergence()  # it may be why
            raise
        except DivergedError as error:
            error.frame = self.frame
            raise
        finally:
            gc.unfreeze()

    def _say(self, kind: CheckpointKind, tell: Callable[[CheckpointReport], None]) -> None:
        """Report a checkpoint. One whose evaluation is interrupted, and those after it, are owed to whoever resumes."""
        found = None if self.owed else self._eval_report() if kind == "eval" else self._log_report()
        if found is None:
            self.owed.append(kind)
        else:
            tell(found)

    def set(self, values: Mapping[str, float]) -> None:
        """Let these coefficients of the agent have other values from here on, whatever their schedules say.

        Raises:
            ConfigError: the agent has no such coefficient.
        """
        schedules = getattr(self.algorithm, "schedules", {})
        for name, value in values.items():
            if name not in schedules:
                known = ", ".join(f"agent.{each}" for each in schedules) or "none"
                raise ConfigError(f"agent.{name}: cannot be set; {self.cfg.agent.name} has these coefficients: {known}")
            schedules[name] = make_schedule(value)
            self.set_values[name] = value

    def stop(self) -> None:
        """Leave the loop after the current step, and an evaluation at once."""
        self.clock.stop()
        if self.evaluator:
            self.evaluator.stop()

    def scores(self) -> list[float]:
        """The score of each session: of the latest evaluation, or the mean return of the last 100 episodes."""
        return self.evaluation if self.evaluator else self.tracker.mean_returns()

    def _report(self, kind: CheckpointKind, rows: list[Row]) -> CheckpointReport:
        if kind == self.cfg.meta.scored_at:
            self.best.keep(self.scores(), self.clock.frame, self.algorithm)
        return CheckpointReport(kind, self.clock.frame, rows, self.scores(), self.best.scores)

    def _log_report(self) -> CheckpointReport:
        rows = self.tracker.rows(self.clock.frame, self.clock.taken)
        self.refuse_divergence(rows)
        ended = [(self.numbers.start + session, episode) for session, episode in self.tracker.fresh or ()]
        if ended:
            self.tracker.fresh = []
        return self._report("log", rows)._replace(ended=ended)

    def _eval_report(self) -> CheckpointReport | None:
        """None if the evaluation was interrupted."""
        frame = self.clock.frame
        common = {"frame": frame, "elapsed_s": self.tracker.elapsed}
        if self.evaluator is None:
            rows = [{"eval/mean_reward": score} for score in self.tracker.mean_returns()]
        else:
            self.refuse_divergence()
            try:
                found = self.evaluator.run(Acting(self.algorithm, explore=False), frame, self.watch)
            except envs.EnvError as error:
                due: list[CheckpointKind] = ["eval", "log"]
                self.owed = due if self.clock.due(self.cfg.meta.log_frequency) else due[:1]
                raise envs.EnvError(f"in the evaluation at frame {frame:,}: {error}") from error
            if self.evaluator.stopped:
                return None
            rows = found.rows(limited=self.evaluator.limited)
            self.evaluation = [row["eval/mean_reward"] for row in rows]
        return self._report("eval", [common | row for row in rows])

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs."""
        return {
            "step": self.clock.step,
            "frame": self.clock.frame,
            "algorithm": self.algorithm.state_dict(),
            "acting": self.acting.state,
            "kernels": None in self.kernels.values(),
            "compile": self.compiled,
            "buffer": self.buffer.state_dict(),
            "envs": {"envs": None} if self.envs_failed else self.envs.state_dict(),
            "tracker": self.tracker.state_dict(),
            "evaluation": self.evaluation,
            "owed": self.owed,
            "set_values": self.set_values,
            "generators": global_state(),  # an env or a network in this process may draw from them
        }

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """What `begin` goes on from: the state, and the policies that scored best if one of them is new by now.

        Raises:
            DivergedError: nothing could go on from here.
        """
        self.refuse_divergence()
        return self.state_dict(), self.best.news()

    def refuse_divergence(self, rows: Sequence[Row] = ()) -> None:
        """Raise `DivergedError` if a loss in these rows, or the algorithm's state, is not finite."""
        for session, row in enumerate(rows):
            for name, value in row.items():
                if name.endswith("loss") and not math.isfinite(value):
                    raise self._diverged(session, f"{name} is {value}")
        if found := not_finite(self.algorithm.state_dict(), self.envs.shape[0]):
            name, session, value = found
            raise self._diverged(session, f"{value} in {name}")

    def _diverged(self, session: int, what: str) -> DivergedError:
        error = DivergedError(f"session {self.envs.first_session + session}: {what}")
        error.frame = self.frame
        return error

    def close(self) -> None:
        self.envs.close()
        if self.evaluator:
            self.evaluator.close()
