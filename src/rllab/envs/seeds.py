"""Seeds of the rows of a vector env in C++."""

import numpy as np


def row_seeds(seed: list[int] | int | None, num_envs: int) -> list[int]:
    """A seed of 31 bits for each row, from one for each, from one to count up from, or from nothing."""
    if seed is None:
        seed = np.random.SeedSequence().generate_state(num_envs).tolist()
    if isinstance(seed, int):
        seed = [seed + row for row in range(num_envs)]
    return [s & 0x7FFFFFFF for s in seed]  # C++ has signed integers
