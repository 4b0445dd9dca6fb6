"""Seeds of the rows of a vector env in C++."""

import numpy as np


def row_seeds(seed: list[int] | int | None, num_envs: int) -> list[int]:
    """A seed of 31 bits for each row.

    Args:
        seed: one for each row, or an integer to which the row is added; None draws them from the system.
        num_envs: number of rows.
    """
    if seed is None:
        seed = np.random.SeedSequence().generate_state(num_envs).tolist()
    if isinstance(seed, int):
        seed = [seed + row for row in range(num_envs)]
    return [s & 0x7FFFFFFF for s in seed]  # C++ takes signed integers of 32 bits
