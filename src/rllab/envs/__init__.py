"""Environments: one Gymnasium `VectorEnv` of S x N sub-envs, behind `make`."""

from rllab.envs.make import EnvInfo, inspect, make
from rllab.envs.sessions import EnvError, Finished, SessionEnvs

__all__ = ["EnvError", "EnvInfo", "Finished", "SessionEnvs", "inspect", "make"]
