"""`rllab enjoy`: watch a trained policy play, in a window or on film."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rllab.command.arguments import add_run
from rllab.command.output import fail, say
from rllab.command.playing import add_policy, add_seed, add_trust, at_least, load_one, refusing
from rllab.text import score_text

if TYPE_CHECKING:
    import argparse

NAME = "enjoy"
SUMMARY = "watch a trained policy play, in a window or on film"
EXAMPLE = "rllab enjoy outputs/2026-11-23/21-15-00_ppo_cartpole_seed0 --video cartpole.mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "run directory")
    parser.add_argument(
        "--video",
        nargs="?",
        const="",
        metavar="FILE.mp4",
        help="record a film instead of opening a window; without a name it goes into RUN/videos/",
    )
    add_policy(parser, session="which session (the one that scored best)")
    add_trust(parser)
    parser.add_argument("--stochastic", action="store_true", help="explore as in training instead of acting greedily")
    parser.add_argument("--episodes", type=at_least(1), default=3, metavar="N", help="how many (3)")
    add_seed(parser)


def run(chosen: argparse.Namespace) -> None:
    film = chosen.video is not None
    if film:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # otherwise pygame looks for a display, and complains
        if sys.platform == "linux" and "DISPLAY" not in os.environ:
            os.environ.setdefault("MUJOCO_GL", "egl")  # otherwise MuJoCo looks for one too, and fails
        if chosen.video and not chosen.video.endswith(".mp4"):
            fail(f"--video: got {chosen.video!r}; write a name that ends in .mp4", code=2)
    with refusing():
        from rllab.envs import MAX_STEPS, has_time_limit  # noqa: PLC0415
        from rllab.play import show  # noqa: PLC0415 - TAB and --help need none of these

        player, session = load_one(chosen, explore=chosen.stochastic)
        acting = "stochastic" if chosen.stochastic else "greedy"
        _say(f"{player.path}: session {session}, `{chosen.checkpoint}` of frame {player.frames[session]:,}, {acting}")
        games = {"num_episodes": chosen.episodes, "seed": chosen.seed}
        path = Path(chosen.video or player.path / "videos" / f"{chosen.checkpoint}_{acting}_session_{session}.mp4")
        episodes = show.on_film(player, session, path, **games) if film else show.in_window(player, session, **games)
        for number, (value, length) in enumerate(episodes, start=1):
            is_cut = length >= MAX_STEPS and not has_time_limit(player.config.env)
            cut = " (cut there: the env has no time limit)" if is_cut else ""
            _say(f"episode {number}: return {score_text(value)}, {length:,} steps{cut}")
    if film:
        _say(f"film: {path}")


def _say(line: str) -> None:
    say(line)
    sys.stdout.flush()  # to be read while it plays
