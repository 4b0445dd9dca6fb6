"""Environments: one Gymnasium `VectorEnv` of S x N sub-envs, behind `make`."""

from rllab.envs.make import EnvInfo, inspect, make
from rllab.envs.sessions import Finished, SessionEnvs

__all__ = ["EnvInfo", "Finished", "SessionEnvs", "inspect", "make"]
