"""A trained policy that acts in an env of the caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium.spaces as gs
import numpy as np

from rllab.envs.sub_env import OutputError, fitted, has_axes
from rllab.errors import ConfigError
from rllab.nets.parts import Packed

if TYPE_CHECKING:
    from rllab.play.player import Player


class Policy:
    """The policy of one session: ``action = policy(obs)``, for one env at a time.

    It takes and gives what the Gymnasium env takes and gives, through the wrappers of ``env.wrappers`` if any.
    Where an episode begins, `reset` lets it forget the one before; agents without memory need no such word.

    Attributes:
        session: the number of the session that it is from.
        frame: the frame of training that it is from.
        obs_space: the observations that it takes, a Gymnasium space.
        action_space: the actions that it gives, a Gymnasium space.
    """

    def __init__(self, player: Player, session: int) -> None:
        """`player` has the policies of a run's checkpoint."""
        self.session, self.frame = session, player.frames[session]
        self.obs_space = player.info.env_obs_space
        self.action_space = player.info.actions.env_space
        self._player = player
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        self._act, self._begins = self._player.act([self.session]), True

    def __call__(self, obs: Any) -> Any:
        """The action for an observation.

        Args:
            obs: of `obs_space`.

        Returns:
            An action of `action_space`: an integer, or an array.

        Raises:
            ConfigError: the observation has another shape.
        """
        info = self._player.info
        if isinstance(info.obs_space, Packed):
            try:
                seen = info.obs_space.pack(fitted(obs, self.obs_space))
            except OutputError as error:
                raise ConfigError(f"obs: got {error}; write one observation of {self.obs_space}") from None
        else:
            flat = obs if has_axes(self.obs_space) else gs.flatten(self.obs_space, obs)
            seen = np.asarray(flat, info.obs_space.dtype)
        if seen.shape != info.obs_space.shape:
            raise ConfigError(f"obs: got shape {seen.shape}; write one observation of {self.obs_space}")
        action = self._act(seen[None, None], np.array([[self._begins]]))[0]
        self._begins = False
        return info.actions.to_env(action)[0]

    def __repr__(self) -> str:
        return f"Policy(session {self.session}, frame {self.frame:,}, {self.obs_space} -> {self.action_space})"
