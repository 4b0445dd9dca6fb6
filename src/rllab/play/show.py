"""A policy's episodes to watch, in a window or as a film. The only module that uses pygame and moviepy."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import VectorWrapper
from gymnasium.wrappers.vector import RecordVideo

from rllab import envs
from rllab.errors import ConfigError
from rllab.files import write_bytes
from rllab.random.streams import session_seeds
from rllab.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from gymnasium.vector import VectorEnv

    from rllab.config import EnvConfig, RunConfig
    from rllab.envs import SessionEnvs
    from rllab.envs.wrappers import Step
    from rllab.play.player import Player

Episode = tuple[float, int]
"""The raw return of an episode, and its length."""
NO_DISPLAY = "there is no display here; record a film instead: rllab enjoy RUN --video FILE.mp4"
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
_FPS = 30  # frames per second of an env that does not say its own


class WindowClosedError(Exception):
    """The person has closed the window."""


def in_window(player: Player, session: int, *, num_episodes: int, seed: int) -> Iterator[Episode]:
    """Play in a window, at the env's own pace, and yield the episodes; closing the window ends it.

    Raises:
        ConfigError: the env cannot be drawn, or there is no display.
    """
    games = _make(player.config.evaluation_env(), player.info.render_modes)
    with closing(games):
        games.vector = Window(games.vector, title=f"{player.config.agent.name} on {player.config.env.id}")
        try:
            yield from _play(player, session, games, num_episodes=num_episodes, seed=seed)
        except envs.EnvError as error:
            if not isinstance(error.__cause__, WindowClosedError):
                raise


def on_film(player: Player, session: int, path: Path, *, num_episodes: int, seed: int) -> Iterator[Episode]:
    """Play, yield the episodes, and write them all into the MP4 file `path`, with Gymnasium's recorder.

    Raises:
        ConfigError: the env cannot be drawn, or the extra video is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder) / "films"  # it must not exist yet, or the recorder warns
        games = _make(player.config.evaluation_env(), player.info.render_modes)
        with closing(games):
            try:
                games.vector = RecordVideo(games.vector, str(films), episode_trigger=lambda _: True)
            except DependencyNotInstalled:
                raise ConfigError("--video: needs the extra video; type pip install 'rllab[video]'") from None
            yield from _play(player, session, games, num_episodes=num_episodes, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        _join([films / f"rl-video-episode-{episode}.mp4" for episode in range(num_episodes)], path)


def check_film(config: RunConfig) -> None:
    """Refuse to film where that could not be done.

    Raises:
        ConfigError: the env cannot be drawn, or the extra video is not installed; one line.
    """
    if not all(map(find_spec, ("moviepy", "imageio_ffmpeg"))):
        raise ConfigError("a film needs the extra video; type pip install 'rllab[video]'")
    _make(config.evaluation_env(), envs.inspect(config.evaluation_env()).render_modes).close()


def _join(films: list[Path], path: Path) -> None:
    """Join films into one. The recorder holds a whole film in memory, so it is given one episode at a time."""
    from imageio_ffmpeg import get_ffmpeg_exe  # noqa: PLC0415 - an extra

    listing, joined = films[0].with_name("films.txt"), films[0].with_name("joined.mp4")
    listing.write_text("".join(f"file '{film.name}'\n" for film in films))
    words = [get_ffmpeg_exe(), "-y", "-f", "concat", "-i", str(listing), "-c", "copy", str(joined)]
    subprocess.run(words, check=True, capture_output=True)  # noqa: S603 - our own words
    write_bytes(path, joined.read_bytes())


def _make(config: EnvConfig, render_modes: Sequence[str]) -> SessionEnvs:
    """One sub-env as in evaluations, but one that can be drawn.

    Raises:
        ConfigError: the env cannot be drawn; one line.
    """
    if not envs.has_time_limit(config):
        config = dataclasses.replace(config, max_episode_steps=envs.MAX_STEPS)
    if "rgb_array" not in render_modes:
        raise ConfigError(f"env.id: {config.id} cannot be drawn: it has no render mode rgb_array")
    try:
        games = envs.make(config, num_sessions=1, num_envs=1, render_mode="rgb_array")
    except (ValueError, TypeError) as error:
        raise ConfigError(_why_not(config, error)) from error
    if games.vector.render_mode is None:
        games.close()
        raise ConfigError(f"env.id: {config.id} cannot be drawn: its constructor ignores render_mode")
    return games


def _why_not(config: EnvConfig, error: Exception) -> str:
    """The line for an env that could be made for training, but not with a render mode."""
    cause = error if isinstance(error, TypeError) else error.__cause__
    if cause is None or "render_mode" in config.kwargs:
        return one_line(error)
    takes_none = isinstance(cause, TypeError)
    why = "its constructor takes no render_mode" if takes_none else one_line(cause)
    return f"env.id: {config.id} cannot be drawn: {why}"


def _play(player: Player, session: int, games: SessionEnvs, *, num_episodes: int, seed: int) -> Iterator[Episode]:
    """Play, and yield each episode as it ends."""
    act = player.act([session])
    games.reset(session_seeds(player.config.meta.seed, session, "test", 1, seed))
    while num_episodes:
        *_, finished = games.step(act(games.obs, games.starts))
        if finished is not None:
            num_episodes -= 1
            yield float(finished.returns[0]), int(finished.lengths[0])


class Window(VectorWrapper):
    """Shows the first sub-env. Closing the window, or Escape, raises `WindowClosedError`."""

    def __init__(self, env: VectorEnv, *, title: str) -> None:
        super().__init__(env)
        if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
            raise ConfigError(NO_DISPLAY)  # SDL would draw where nobody can see it
        try:
            import pygame  # noqa: PLC0415 - an extra

            pygame.display.init()
        except ImportError:
            raise ConfigError("a window needs the extra video; type pip install 'rllab[video]'") from None
        except pygame.error:
            raise ConfigError(NO_DISPLAY) from None
        self.pygame = pygame
        pygame.display.set_caption(title)
        self.clock = pygame.time.Clock()

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        result = self.env.reset(**kwargs)
        self._show()
        return result

    def step(self, actions: Any) -> Step:
        result = self.env.step(actions)
        self._show()
        return result

    def _show(self) -> None:
        pictures: Any = self.env.render()
        picture: np.ndarray = pictures[0]  # [height, width, 3]
        pygame = self.pygame
        screen = pygame.display.get_surface() or pygame.display.set_mode(picture.shape[1::-1])
        screen.blit(pygame.surfarray.make_surface(picture.swapaxes(0, 1)), (0, 0))
        pygame.display.flip()
        self.clock.tick(self.metadata.get("render_fps", _FPS))
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                raise WindowClosedError

    def close(self, **kwargs: Any) -> None:
        self.pygame.display.quit()
        super().close(**kwargs)
