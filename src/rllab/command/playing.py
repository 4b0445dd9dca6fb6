"""What the verbs that play a trained policy have in common."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rllab.command.output import fail
from rllab.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rllab.play.player import Player


def at_least(low: int) -> type[int]:
    """A type for argparse: an integer of at least `low`."""

    def parse(word: str) -> int:
        if word.isdecimal() and int(word) >= low:
            return int(word)
        raise argparse.ArgumentTypeError(f"got {word!r}; write an integer of at least {low}")

    return parse  # type: ignore[return-value] # what argparse calls a type


def add_policy(parser: argparse.ArgumentParser, *, session: str) -> None:
    """The options that choose a policy: --checkpoint and --session; `session` says what the latter does."""
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="which policy (best)")
    parser.add_argument("--session", type=at_least(0), metavar="S", help=session)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The option --trust."""
    text = "import the packages that its config names, although another user or another machine wrote it"
    parser.add_argument("--trust", action="store_true", help=text)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The option --seed."""
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="another number, other episodes (0)")


@contextmanager
def refusing() -> Iterator[None]:
    """End with one line where a run cannot be read or played, its env fails, or an extra is missing."""
    _prepare()
    from rllab.envs import DivergedError, EnvError  # noqa: PLC0415 - TAB and --help need none of it

    try:
        yield
    except (ConfigError, EnvError, DivergedError) as error:
        if "RLLAB_TRACEBACK" in os.environ:
            raise
        fail(str(error))


def load_one(chosen: argparse.Namespace, *, explore: bool = False) -> tuple[Player, int]:
    """The run that a verb was given, and the session that was chosen, or the one that scored best."""
    player = load(chosen.run, chosen, explore=explore)
    return player, player.best_session if chosen.session is None else chosen.session


def load(path: str | Path, chosen: argparse.Namespace, *, explore: bool = False) -> Player:
    """The run that a verb was given, with the checkpoint that was chosen."""
    import torch  # noqa: PLC0415 - as above

    from rllab.play import player  # noqa: PLC0415

    loaded = player.load(path, chosen.checkpoint, explore=explore, trusted=chosen.trust)
    torch.set_num_threads(loaded.config.meta.num_threads)
    last = loaded.config.meta.num_policies - 1
    if chosen.session is not None and chosen.session > last:
        raise ConfigError(f"--session: got {chosen.session}, but {path} has sessions 0 to {last}")
    return loaded


def _prepare() -> None:
    """What `rllab-train` also does before numpy is imported: no threads of OpenBLAS."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
