"""Whether the parts of Gymnasium without a public name are still where `envs/gymnasium_internals.py` looks for them."""

import inspect

import gymnasium
import gymnasium.spaces as gs
import gymnasium.wrappers
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState, _async_worker

from rllab.envs.gymnasium_internals import CONSTANT_ATTRIBUTES, has_generator

MOVED = f"Gymnasium {gymnasium.__version__} has moved %s: adapt src/rllab/envs/gymnasium_internals.py"


def test_what_an_async_vector_env_keeps_to_itself():
    waits = inspect.getsource(AsyncVectorEnv.step_wait) + inspect.getsource(AsyncVectorEnv.reset_wait)
    assert waits.count("self._raise_if_errors(") == 2, MOVED % "AsyncVectorEnv._raise_if_errors"
    made = AsyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])
    try:
        assert made._state == AsyncState.DEFAULT, MOVED % "AsyncVectorEnv._state"
        made.reset_async()
        assert made._state == AsyncState.WAITING_RESET, MOVED % "AsyncVectorEnv._state"
        made.reset_wait()
        assert made.error_queue.empty(), MOVED % "AsyncVectorEnv.error_queue"
    finally:
        made.close()


def test_the_worker_of_an_async_vector_env():
    parameters = list(inspect.signature(_async_worker).parameters)
    assert parameters[:3] == ["index", "env_fn", "pipe"], MOVED % "_async_worker"


def test_the_generator_of_a_space():
    space = gs.Discrete(2)
    assert not has_generator(space), MOVED % "Space._np_random"
    space.sample()
    assert has_generator(space), MOVED % "Space._np_random"


def test_the_attributes_that_are_no_state():
    env = gymnasium.wrappers.TimeLimit(gymnasium.make("CartPole-v1"), 9)
    for name in CONSTANT_ATTRIBUTES - {"metadata", "spec"}:
        assert name in vars(env), MOVED % f"Wrapper.{name}"
