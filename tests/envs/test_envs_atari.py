"""Scores of whole games beside ALE's own; settings; lives; seeds."""

import ale_py
import gymnasium.spaces as gs
import numpy as np
import pytest
from ale_py import roms

from rllab import envs
from rllab.config import EnvConfig

PLAIN = {"repeat_action_probability": 0.0, "noop_max": 0, "use_fire_reset": False}

STICKY = {"repeat_action_probability": 0.25}


def atari(game, num_envs=1, *, num_sessions=1, kwargs=PLAIN, seeds=None, **fields):
    cfg = EnvConfig(id=f"ALE/{game}-v5", num_envs=num_envs, num_threads=1, kwargs=kwargs, **fields)
    made = envs.make(cfg, num_sessions=num_sessions)
    made.reset(seeds or list(range(num_sessions * num_envs)))
    return made


class ALE:
    """The emulator itself, without anything of ours around it."""

    def __init__(self, game):
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.setInt("random_seed", 0)
        self.ale.loadROM(roms.get_rom_path(game))
        self.actions = self.ale.getMinimalActionSet()

    def step(self, action, frameskip=4):
        """Reward of one action."""
        reward = 0
        for _ in range(frameskip):
            reward += self.ale.act(self.actions[action])
            if self.ale.game_over():
                break
        return reward


def play_both(game, rom, steps, **fields):
    """The same actions for both: our rows, and ALE's scores, lives and lengths of whole games."""
    made, ale = atari(game, **fields), ALE(rom)
    limit = made.vector.unwrapped.games is not None and fields.get("kwargs", {}).get("max_num_frames_per_episode")
    rng = np.random.default_rng(0)
    rows, scores, lengths, lives_lost = [], [], [], 0
    score = length = 0
    resetting = False
    for _ in range(steps):
        action = rng.integers(0, made.action_space.n, (1, 1))
        _, reward, terminated, truncated, finished = made.step(action)
        rows.append((reward.item(), terminated.item(), truncated.item(), finished))
        if resetting:
            ale.ale.reset_game()
            resetting = False
            continue
        lives = ale.ale.lives()
        score, length = score + ale.step(action.item()), length + 1
        lives_lost += ale.ale.lives() < lives
        if ale.ale.game_over() or (limit and length * 4 >= limit):
            scores.append(score)
            lengths.append(length)
            score, length, resetting = 0, 0, True
    return rows, scores, lengths, lives_lost


def recorded(rows):
    finished = [f for *_, f in rows if f is not None]
    return [f.returns.item() for f in finished], [f.lengths.item() for f in finished]


@pytest.mark.parametrize("for_learning", [False, True])
def test_score_of_a_game_with_lives_is_that_of_ale(for_learning):
    rows, scores, lengths, lives_lost = play_both(
        "Qbert", "qbert", 1000, clip_reward=for_learning, life_loss_terminal=for_learning
    )
    assert len(scores) >= 2
    assert max(scores) >= 100
    assert recorded(rows) == (scores, lengths)
    rewards = {reward for reward, *_ in rows}
    num_terminated = sum(terminated for _, terminated, *_ in rows)
    if for_learning:
        assert rewards == {0.0, 1.0}
        assert num_terminated == lives_lost > len(scores)  # the last life of a game is one of them
    else:
        assert max(rewards) >= 25
        assert num_terminated == len(scores)


def test_score_of_a_game_without_lives_and_of_one_that_the_time_limit_cuts():
    """Pong has no lives; 400 frames of the emulator are 100 steps."""
    kwargs = PLAIN | {"max_num_frames_per_episode": 400}
    rows, scores, lengths, _ = play_both("Pong", "pong", 410, kwargs=kwargs, life_loss_terminal=True)
    assert lengths == [100] * 4
    assert min(scores) < 0
    assert recorded(rows) == (scores, lengths)
    assert [t for t, (_, _, truncated, _) in enumerate(rows) if truncated] == [99, 200, 301, 402]
    assert not any(terminated for _, terminated, *_ in rows)


def test_a_whole_game_of_pong():
    rows, scores, lengths, _ = play_both("Pong", "pong", 1000, life_loss_terminal=True)
    assert scores[0] <= -19
    assert recorded(rows) == (scores, lengths)


def test_frames_are_grey_stacked_bytes():
    made = atari("Breakout", kwargs=PLAIN | {"use_fire_reset": True})
    assert made.obs_space == gs.Box(0, 255, (4, 84, 84), np.uint8)
    before = made.obs.copy()
    after = made.step(np.ones((1, 1), int))[0]
    assert after.dtype == np.uint8
    np.testing.assert_array_equal(after[0, 0, :3], before[0, 0, 1:])  # channels first, the newest last


def test_settings_reach_the_game():
    assert atari("Pong").action_space == gs.Discrete(6)
    assert atari("Pong", kwargs=PLAIN | {"full_action_space": True}).action_space == gs.Discrete(18)
    assert atari("Pong", kwargs={"stack_num": 2, "img_height": 42, "img_width": 40}).obs_space.shape == (2, 42, 40)


def frames(made, steps=150):
    """Observations `[steps, S, N, ...]`; session s acts by itself."""
    rngs = [np.random.default_rng(s) for s in range(made.shape[0])]
    draw = lambda: np.stack([rng.integers(0, made.action_space.n, made.shape[1]) for rng in rngs])  # noqa: E731
    return np.stack([made.step(draw())[0].copy() for _ in range(steps)])


def test_sticky_actions_and_no_ops_are_on_by_default_and_seeded_for_each_row():
    one = frames(atari("Breakout", 2, kwargs={}, seeds=[5, 2**32 - 6]))
    made = atari("Breakout", 2, num_sessions=2, kwargs={}, seeds=[5, 2**32 - 6, 5, 9])
    np.testing.assert_array_equal(made.obs[0, 0], made.obs[1, 0])  # the same seed: the same no-ops
    frame = made.vector.unwrapped.games.reset(seed=np.array([5, 6, 5, 9]))[1]["episode_frame_number"]
    assert frame[0] == frame[2]
    assert len(set(frame.tolist())) == 3
    made.reset([5, 2**32 - 6, 5, 9])
    np.testing.assert_array_equal(one[:, 0], frames(made)[:, 0])
    # without no-ops, only sticky actions can make a difference
    sticky, plain = (frames(atari("Breakout", kwargs=PLAIN | changed)) for changed in (STICKY, {}))
    assert (sticky != plain).any()


def test_every_spelling_of_a_game():
    for spelling in ("SpaceInvaders", "spaceinvaders", "space_invaders", "Space Invaders"):
        info = envs.inspect(EnvConfig(id=f"ALE/{spelling}-v5", game=spelling))
        assert info.id == "ALE/SpaceInvaders-v5"
        assert info.backend == "ale"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "ALE/Pnog-v5", "game": "Pnog"}, r"env\.game: got 'Pnog', .*did you mean env\.game=Pong\?"),
        ({"id": "ALE/Pnog-v5"}, r"env\.id: got 'ALE/Pnog-v5', .*did you mean env\.id=ALE/Pong-v5\?"),
        ({"id": "ALE/zzzzzz-v5", "game": "zzzzzz"}, r"env\.game: got 'zzzzzz', .*write env\.game=Pong or another game"),
        ({"id": "ALE/None-v5"}, r"env\.game: not set; write env\.game=Breakout"),
        ({"id": "CartPole-v1", "game": "Pong"}, r"env\.game: got 'Pong', but CartPole-v1 is no Atari game; write env="),
        ({"id": "ALE/Qbert-v5", "game": "Pong"}, r"env\.game: got 'Pong', but env\.id is .*write env\.game=Qbert"),
        (
            {"kwargs": {"repeat_action_probability": 2}},
            r"env\.kwargs\.repeat_action_probability: got 2; write a number",
        ),
        ({"kwargs": {"frameskip": 0}}, r"env\.kwargs\.frameskip: got 0; write an integer of at least 1"),
        ({"kwargs": {"stack_num": 0}}, r"env\.kwargs\.stack_num: got 0; write"),  # ALE would hang
        ({"kwargs": {"noop_max": -1}}, r"env\.kwargs\.noop_max: got -1; write"),
        ({"kwargs": {"nope": 1}}, r"env\.kwargs\.nope: got 1, but ALE/Pong-v5 takes no such argument$"),
        ({"kwargs": {"reward_clipping": True}}, r"env\.kwargs\.reward_clipping: .*write env\.clip_reward=true"),
        ({"kwargs": {"episodic_life": True}}, r"env\.kwargs\.episodic_life: .*write env\.life_loss_terminal=true"),
        (
            {"kwargs": {"noop_max": 9}, "backend": "sync"},
            r"env\.kwargs\.noop_max: .*raw frames; write env\.backend=ale",
        ),
        ({"backend": "vector_entry_point"}, r"env\.backend: got 'vector_entry_point', .*write env\.backend=ale"),
        ({"wrappers": ["gymnasium.wrappers.TimeAwareObservation"]}, r"env\.wrappers: got .*write env\.backend=sync"),
        ({"id": "CartPole-v1", "backend": "ale"}, r"env\.backend: got 'ale', which does not know CartPole-v1"),
        ({"id": "CartPole-v1", "life_loss_terminal": True}, r"env\.life_loss_terminal: got True, .*tells no lives"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        envs.inspect(EnvConfig(**{"id": "ALE/Pong-v5", **fields}))
    assert "\n" not in str(caught.value)


def test_a_game_can_be_drawn():
    made = envs.make(
        EnvConfig(id="ALE/Breakout-v5", num_envs=1, num_threads=1), num_sessions=2, render_mode="rgb_array"
    )
    made.reset([1, 2])
    actions = np.ones((2, 1), int)
    for _ in range(30):
        made.step(actions)
    pictures = made.vector.render()
    assert [picture.shape for picture in pictures] == [(210, 160, 3)] * 2
    plain = atari("Breakout", num_sessions=2, kwargs={}, seeds=[1, 2])
    for _ in range(30):
        plain.step(actions)
    np.testing.assert_array_equal(made.obs, plain.obs)  # the twin does not disturb the game
