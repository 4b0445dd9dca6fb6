"""Environments: one Gymnasium `VectorEnv` of S x N sub-envs, behind `make`."""

from rllab.envs.make import MAX_STEPS, EnvInfo, has_time_limit, inspect, make
from rllab.envs.sessions import DivergedError, EnvError, Finished, SessionEnvs

__all__ = [
    "MAX_STEPS",
    "DivergedError",
    "EnvError",
    "EnvInfo",
    "Finished",
    "SessionEnvs",
    "has_time_limit",
    "inspect",
    "make",
]
