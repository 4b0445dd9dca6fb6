"""Games as pictures: a window, a film, and what is said where neither can be."""

import dataclasses

import numpy as np
import pytest

from rllab import envs
from rllab.errors import ConfigError
from rllab.play import player, show


@pytest.fixture
def cartpole(cases):
    return player.load(cases("ppo, CartPole"))


def test_a_film_of_all_episodes(cartpole, tmp_path):
    imageio = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "films" / "cartpole.mp4"
    episodes = list(show.on_film(cartpole, 1, path, num_episodes=2, seed=3))
    assert len(episodes) == 2
    frames = imageio.read_frames(str(path))
    assert next(frames)["size"] == (600, 400)
    pictures = [np.frombuffer(frame, np.uint8) for frame in frames]
    steps = sum(length for _, length in episodes)
    assert steps - 2 <= len(pictures) <= steps + 2  # every reset is a picture too; moviepy may lose the last
    assert len(np.unique(pictures[0])) > 2
    assert (pictures[0] != pictures[-1]).any()


def test_the_window_shows_what_is_played(cartpole, monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    flip = pygame.display.flip

    def look():
        shown.append(pygame.surfarray.array3d(pygame.display.get_surface()))
        flip()

    monkeypatch.setattr(pygame.display, "flip", look)
    monkeypatch.setattr(pygame.time, "Clock", type("Hasty", (), {"tick": lambda self, fps: None}))
    ((_, length),) = show.in_window(cartpole, 0, num_episodes=1, seed=0)
    assert len(shown) == length + 1
    assert shown[0].shape == (600, 400, 3)
    assert (shown[0] != shown[-1]).any()


def test_closing_the_window_ends_the_games(cartpole, monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(pygame.event, "get", lambda: [pygame.event.Event(pygame.QUIT)])
    assert list(show.in_window(cartpole, 0, num_episodes=1, seed=0)) == []


def test_without_a_display_it_says_what_to_type(cartpole, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"no display here; .* rllab enjoy RUN --video FILE\.mp4$"):
        list(show.in_window(cartpole, 0, num_episodes=1, seed=0))


def test_an_env_without_pictures(cases):
    with pytest.raises(ConfigError, match="probes:RewardByObs-v0 cannot be drawn: it has no render mode rgb_array"):
        list(show.in_window(player.load(cases("ppo")), 0, num_episodes=1, seed=0))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Undrawn", "its constructor takes no render_mode"),
        ("UndrawnByKeyword", "its constructor takes no render_mode"),
        ("UndrawnSilently", "its constructor ignores render_mode"),
        ("UndrawnHere", "no screen"),
    ],
)
@pytest.mark.parametrize("backend", ["sync", "async"])
def test_an_env_that_cannot_be_made_to_be_drawn(cases, tmp_path, name, why, backend):
    loaded = player.load(cases("ppo"))
    config = dataclasses.replace(loaded.config.env, id=f"probes:{name}-v0", backend=backend)
    config = dataclasses.replace(loaded.config, env=config)
    loaded = dataclasses.replace(loaded, config=config, info=envs.inspect(config.env))
    with pytest.raises(ConfigError) as caught:
        list(show.on_film(loaded, 0, tmp_path / "film.mp4", num_episodes=1, seed=0))
    assert str(caught.value) == f"env.id: probes:{name}-v0 cannot be drawn: {why}"
