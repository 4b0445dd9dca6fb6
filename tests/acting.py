"""One step of an agent in tests."""

import numpy as np


def act(agent, obs, *, explore):
    """Actions, and what is to be stored beside them; agents without memory only."""
    action, extras, state = agent.act(obs, {}, np.zeros(obs.shape[:2], bool), explore=explore)
    assert state == {}
    return action, extras
