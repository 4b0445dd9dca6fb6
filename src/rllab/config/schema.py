"""The schema of a run: which fields there are, their types, what they default to, and the ranges that they must keep.

Presets in ``conf/`` are merged into these dataclasses, so a misspelt key or a wrong type is refused before anything
starts. They need neither torch nor Gymnasium.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from omegaconf import MISSING

from rllab import algorithms, calls
from rllab.algorithms import Task
from rllab.config.ranges import FrameCount, at_least, frames, seconds, threads
from rllab.errors import ConfigError, require
from rllab.functional.schedules import by_fractions

Backend = Literal["auto", "gymnasium", "ale", "envpool", "native", "vector_entry_point", "sync", "async"]
"""Two groups, and the backends with the fastest first: `auto` takes the first that suits."""

if TYPE_CHECKING:
    from gymnasium.spaces import Space

    from rllab.algorithms import Algorithm
    from rllab.random.streams import Seed

    Frames = int
    Number = float
else:  # what a person may write: 1e6 is a float to YAML, and 1 is an int
    Frames = int | float
    Number = int | float


_INFO_METRIC = r"[\w.-]+(:(last|mean|sum|max))?"


class Changes(enum.Flag):
    """What another value of a field changes. A field whose annotation does not say so changes both.

    Each field of MetaConfig says it; what is compared with what, and what goes on with what, follows from there.
    """

    NOTHING = 0
    """Neither: the field says what a run may take, or how much is kept of it."""
    RESULT = enum.auto()
    """What a session learns or scores: `rllab compare` keeps runs with different values apart."""
    SEARCH = enum.auto()
    """Which search it is: with another value the same command begins another study."""
    BOTH = RESULT | SEARCH


@dataclass(frozen=True)
class SearchResources:
    """What one trial of a search occupies, hence how many run at once."""

    cpu: Number = 1
    """CPU cores of one trial."""
    gpu: Number = 0
    """GPUs of one trial; a fraction lets several trials share one. Without meaning on meta.device=cpu."""

    def __post_init__(self) -> None:
        require(self.cpu > 0, "meta.search_resources.cpu", self.cpu, write="a number above 0, e.g. 1")
        require(self.gpu >= 0, "meta.search_resources.gpu", self.gpu, write="0 or more, e.g. 0.25")


@dataclass(frozen=True)
class SearchScheduler:
    """Which trials of a search are stopped early."""

    kind: Literal["median", "asha", "none"] = "median"
    """Pruner: below the median of the other trials, asynchronous successive halving, or none."""
    grace_period: Frames | None = frames("meta.search_scheduler.grace_period", None)
    """Frames before a trial may be pruned; null is a tenth of env.max_frame."""
    reduction_factor: int = 3
    """ASHA keeps one trial in this many at each rung."""

    def __post_init__(self) -> None:
        factor = self.reduction_factor
        at_least(2, "meta.search_scheduler.reduction_factor", factor, "an integer of at least 2, e.g. 3")


@dataclass(frozen=True)
class MetaConfig:
    """How an experiment is run: seeds, trials, checkpoints, evaluation, resources."""

    max_session: Annotated[int, Changes.SEARCH] = 4
    """Sessions (seeds) of a trial. They train in lockstep, in one program."""
    max_trial: Annotated[int, Changes.NOTHING] = 1
    """Trials of a search. 1 means no sampling: a plain `-m agent.lr=1e-3,3e-4` is a grid of two."""
    log_frequency: Annotated[Frames, Changes.SEARCH] = frames("meta.log_frequency", 1000)
    """Frames between two log checkpoints: a row of metrics, `last` and `best` checkpoints."""
    eval_frequency: Annotated[Frames, Changes.SEARCH] = frames("meta.eval_frequency", 1000)
    """Frames between two evaluation checkpoints, independent of log_frequency."""
    distributed: Annotated[Literal[False, "shared", "synced"], Changes.BOTH] = False
    """Hogwild: the sessions are lock-free workers of one policy, which has one score and one curve. shared: they act on
    the same parameters in memory. synced: each on a copy, which it brings up to date after every gradient step."""
    rigorous_eval: Annotated[int | None, Changes.BOTH] = None
    """null or 0: the score is the mean return of the last 100 finished training episodes. n: n separate
    evaluation envs per session play one whole greedy episode each at every evaluation checkpoint."""
    search_resources: Annotated[SearchResources, Changes.NOTHING] = field(default_factory=SearchResources)
    """What one trial of a search occupies."""
    search_scheduler: Annotated[SearchScheduler, Changes.SEARCH] = field(default_factory=SearchScheduler)
    """Which trials of a search are stopped early."""
    final_eval: Annotated[int | None, Changes.SEARCH] = 20
    """Whole greedy episodes that `best` and `last` each play for every session at the end of training, so that
    trial.json holds scores without exploration. null or 0: none."""
    keep_trials: Annotated[int, Changes.NOTHING] = 3
    """Trials of a search whose models stay, the best ones. A plain grid keeps them all."""
    seed: Annotated[int, Changes.SEARCH] = 0
    """Root of every random stream. Session s draws from streams spawned from (seed, s)."""
    device: Annotated[str, Changes.BOTH] = "cpu"
    """Torch device of networks and updates: cpu, cuda, cuda:1, mps, or auto (cuda where there is one)."""
    num_threads: Annotated[int, Changes.RESULT] = 1
    """CPU threads of torch. More pay for large networks, or for several sessions where nothing else wants the cores;
    they cost a factor of five and more where something does. Another number of threads rounds differently."""
    kernels: Annotated[Literal["auto", "off"], Changes.RESULT] = "auto"
    """auto: acting, updates and classic control run in C++ where that fits, compiled once by this machine's compiler;
    off: in torch and numpy. They differ by rounding."""
    compile: Annotated[bool, Changes.RESULT] = False
    """torch.compile for what no kernel covers: networks, forward and backward, where a loss goes through them. The
    first updates take seconds longer; compiled networks differ by rounding."""
    num_workers: Annotated[int | Literal["auto"], Changes.SEARCH] = 1
    """Processes that the sessions of a trial are spread over; auto takes as many as are faster here."""
    worker_timeout: Annotated[Number, Changes.SEARCH] = 600
    """Seconds that a worker process may go without an env step or a checkpoint before it counts as hung."""
    resume: Annotated[str | None, Changes.SEARCH] = None
    """Run directory to continue, to the budget of its own config."""
    init_from: Annotated[str | None, Changes.BOTH] = None
    """Run directory whose policies this run begins with, session by session; everything else begins anew. Where that
    has fewer sessions, they are taken again from the first one on."""
    init_checkpoint: Annotated[Literal["best", "last"], Changes.BOTH] = "best"
    """Which of its policies. Critics and targets that do not act are in `last` alone."""
    init_normalizers: Annotated[bool, Changes.BOTH] = True
    """Whether it goes on with the statistics of observations and rewards too: without, a policy that was trained on
    normalised observations sees others."""
    init_optimizers: Annotated[bool, Changes.BOTH] = False
    """Whether it goes on with the state of the optimisers and with a learned entropy coefficient, from `last`."""

    def __post_init__(self) -> None:
        for name in ("max_session", "max_trial", "keep_trials"):
            at_least(1, f"meta.{name}", getattr(self, name), f"an integer of at least 1, e.g. meta.{name}=4")
        episodes = "or a number of evaluation episodes, e.g. 10"
        at_least(0, "meta.rigorous_eval", self.rigorous_eval, f"null (score from training episodes) {episodes}")
        at_least(0, "meta.final_eval", self.final_eval, f"null (no such scores) {episodes}")
        at_least(0, "meta.seed", self.seed, "an integer of at least 0, e.g. meta.seed=1")
        threads("meta.num_threads", self.num_threads, "an integer")
        processes = None if self.num_workers == "auto" else self.num_workers
        at_least(1, "meta.num_workers", processes, "auto or an integer of at least 1, e.g. meta.num_workers=2")
        seconds("meta.worker_timeout", self.worker_timeout)

    @property
    def eval_episodes(self) -> int:
        """Episodes of each session at an evaluation checkpoint; 0 where scores come from training."""
        return self.rigorous_eval or 0

    @property
    def evaluates(self) -> bool:
        """Whether scores come from evaluation episodes, and not from the returns of training."""
        return self.eval_episodes > 0

    @property
    def scored_at(self) -> Literal["eval", "log"]:
        """The checkpoints that give each session a new score."""
        return "eval" if self.evaluates else "log"

    @property
    def num_policies(self) -> int:
        """What is trained, scored and drawn: one for each session, or with Hogwild a single one."""
        return 1 if self.distributed else self.max_session


@dataclass(frozen=True)
class EnvConfig:
    """The task: which env, how many copies, and for how long."""

    id: str = MISSING
    """Gymnasium id, `CartPole-v1`, or `my_pkg:MyEnv-v0` to import a package that registers it."""
    num_envs: int = 8
    """Sub-envs of each session. A trial steps max_session times as many."""
    max_frame: Frames = frames("env.max_frame", 100_000)
    """Budget: frames of each session, summed over its sub-envs. A row that only resets a sub-env is a frame too."""
    max_episode_steps: int | None = None
    """Steps after which an episode is cut (truncated); null takes the number that the env registers, if any."""
    game: str | None = None
    """Atari game, Breakout or space_invaders; the atari presets make `id` of it."""
    backend: Backend = "auto"
    """Vectorisation. auto: the fastest that is installed and means the same env. gymnasium: in this process, by the
    env's own vectorised implementation (vector_entry_point) where that keeps sessions apart, otherwise one env after
    the other (sync). async: a process for each sub-env. native: classic control in C++. envpool, ale: C++ threads."""
    num_threads: int | None = None
    """Threads of envpool and ale; null: one for each core that this process may use."""
    timeout: Annotated[Number, Changes.SEARCH] = 300
    """Seconds that a sub-env of backend=async may take for one step before it counts as hung."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the env's constructor: `+env.kwargs.goal_velocity=0.01`."""
    wrappers: list[Any] = field(default_factory=list)
    """Gymnasium wrappers around each sub-env, innermost first, or any callable of a package of your own that takes an
    env and gives one: `[gymnasium.wrappers.TimeAwareObservation]`, with arguments
    `[{gymnasium.wrappers.FrameStackObservation: {stack_size: 4}}]`."""
    info_metrics: Annotated[list[str], Changes.NOTHING] = field(default_factory=list)
    """Numbers in the env's infos that are tracked for each episode: `[success, fuel:sum]`. Of its steps they take the
    last one, or the mean, sum or max."""
    clip_reward: bool = False
    """Clip rewards to [-1, 1] for learning; scores are sums of raw rewards."""
    life_loss_terminal: bool = False
    """Learning takes a lost life for the end (no bootstrapping past it); a score is that of the whole game."""
    reward_threshold: Annotated[Number | None, Changes.SEARCH] = None
    """Mean return at which the task counts as solved; null takes the one that the env registers, if any."""
    random_return: Annotated[Number | None, Changes.SEARCH] = None
    """Mean return of a random policy, the zero of the `strength` metrics; `agent=random` measures it."""

    def __post_init__(self) -> None:
        one = "an integer of at least 1, e.g."
        at_least(1, "env.num_envs", self.num_envs, f"{one} env.num_envs=8")
        steps = f"null (the env's own) or {one} env.max_episode_steps=1000"
        at_least(1, "env.max_episode_steps", self.max_episode_steps, steps)
        threads("env.num_threads", self.num_threads, "null (all cores) or an integer")
        seconds("env.timeout", self.timeout)
        calls.check("env.wrappers", self.wrappers, example="my_pkg.MyWrapper")
        write = "a name, or one of name:last, name:mean, name:sum, name:max, e.g. [success,fuel:sum]"
        for entry in self.info_metrics:
            require(bool(re.fullmatch(_INFO_METRIC, entry)), "env.info_metrics", entry, write=write)
        names = [entry.partition(":")[0] for entry in self.info_metrics]
        require(len(names) == len(set(names)), "env.info_metrics", self.info_metrics, write="each name once")

    @property
    def info_kinds(self) -> dict[str, str]:
        """What is made of the steps of an episode, by the name of the entry."""
        return {name: kind or "last" for name, _, kind in (entry.partition(":") for entry in self.info_metrics)}

    @property
    def wrapper_calls(self) -> list[calls.Call]:
        """Dotted name and arguments of each wrapper."""
        return calls.pairs(self.wrappers)


EVAL_ENV_FIELDS = ("id", "max_episode_steps", "backend", "num_threads", "timeout", "kwargs", "wrappers")
"""Fields of EnvConfig in which the env of evaluations may differ."""


@dataclass(frozen=True)
class RunConfig:
    """One trial: this agent, on this env, with these meta settings."""

    meta: MetaConfig = field(default_factory=MetaConfig)
    """How the experiment is run."""
    env: EnvConfig = field(default_factory=EnvConfig)
    """The task."""
    agent: Any = MISSING
    """The agent: the Config of its algorithm."""
    eval_env: dict[str, Any] = field(default_factory=dict)
    """In what the env of evaluations differs: `+eval_env.kwargs.length=1.0`, of the same spaces."""
    callbacks: list[Any] = field(default_factory=list)
    """Functions and classes of a user's own that are told of the run and may stop it, by dotted name, with arguments
    where they take some: `[my_pkg.Watch, {rllab.callbacks.EarlyStopping: {score: 475}}]`."""
    tracker: Annotated[dict[str, Any], Changes.NOTHING] = field(default_factory=dict)
    """What shows the run beside its CSV files: the Config of each tracker by its name."""
    run_dir: Annotated[str, Changes.NOTHING] = MISSING
    """Where the results go."""

    def __post_init__(self) -> None:
        calls.check("callbacks", self.callbacks, example="my_pkg.MyCallback")
        self.evaluation_env()  # refuses what is out of range

    @property
    def callback_calls(self) -> list[calls.Call]:
        """Dotted name and arguments of each callback."""
        return calls.pairs(self.callbacks)

    def evaluation_env(self) -> EnvConfig:
        """The env that evaluations are played in: `env`, but for what `eval_env` says."""
        if not self.eval_env:
            return self.env
        kwargs = self.env.kwargs | self.eval_env.get("kwargs", {})
        try:
            return replace(self.env, **self.eval_env | {"kwargs": kwargs})
        except ValueError as error:
            raise as_eval_env(error) from None

    def algorithm(self) -> type[Algorithm]:
        """The class that `agent.name` names."""
        return algorithms.find(self.agent.name)

    def task(self, obs_space: Space[Any], action_space: Space[Any], num_sessions: int) -> Task:
        """What some sessions are to learn; the spaces are those of `envs.inspect`."""
        return Task(obs_space, action_space, num_sessions, self.env.num_envs, self.env.max_frame)

    def make_algorithm(
        self, obs_space: Space[Any], action_space: Space[Any], num_sessions: int, seed: int | Seed
    ) -> Algorithm:
        """The agent for some sessions, as it is before training; the spaces are those of `envs.inspect`."""
        task = self.task(obs_space, action_space, num_sessions)
        agent = by_fractions(self.agent, self.env.max_frame)
        return self.algorithm()(agent, task, seed=seed, device=self.meta.device)


def as_eval_env(error: ValueError) -> ConfigError:
    """The error about the env of evaluations, which calls its fields those of `env`."""
    return ConfigError(re.sub(r"\benv\.", "eval_env.", str(error)))


def fields_unchanging(what: Changes) -> frozenset[str]:
    """Full names of the fields of which another value does not change this: ``meta.max_trial``."""
    names = []
    for prefix, config in (("", RunConfig), ("meta.", MetaConfig), ("env.", EnvConfig)):
        for name, hint in get_type_hints(config, include_extras=True).items():
            changes = next((mark for mark in get_args(hint) if isinstance(mark, Changes)), Changes.BOTH)
            names += [prefix + name] if what not in changes else []
    return frozenset(names)


def fields_counting_frames() -> frozenset[str]:
    """Full names of the fields that may be written as 1e6 and are whole numbers all the same."""
    defaults = [value for config in (MetaConfig, SearchScheduler, EnvConfig) for value in vars(config).values()]
    return frozenset(value.field for value in defaults if isinstance(value, FrameCount))
