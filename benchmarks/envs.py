"""Frames per second of bare envs, by backend and number of sub-envs: no network, random actions.

    pip install -c constraints.txt -e '.[box2d,mujoco,envpool]'
    python -m benchmarks.envs [--seconds 2] [--threads 2] [--envs CartPole-v1 ...]

What is not installed is said and left out. The backend that `env.backend=auto` takes carries a star.
"""

import argparse
import os
import platform
import time

import numpy as np

from rllab import envs
from rllab.config import EnvConfig

NUM_ENVS = (8, 16, 64)
BACKENDS = {
    "CartPole-v1": ("sync", "vector_entry_point", "async", "envpool"),
    "LunarLander-v3": ("sync", "async", "envpool"),
    "HalfCheetah-v5": ("sync", "async", "envpool"),
    "ALE/Breakout-v5": ("ale", "envpool"),
}
MAX_PROCESSES = 16
"""More worker processes than this say nothing about a machine with a few cores."""


def measure(config: EnvConfig, seconds: float) -> float:
    """Frames per second, resets included, after a warm-up of a tenth of the time."""
    made = envs.make(config, num_sessions=1)
    made.reset(list(range(config.num_envs)))
    rng = np.random.default_rng(0)
    space = made.action_space
    shape = (1, config.num_envs, *space.shape)
    if np.issubdtype(space.dtype, np.integer):
        actions = rng.integers(0, space.n, (64, *shape))
    else:
        actions = rng.uniform(-1, 1, (64, *shape)).astype(np.float32)

    def run(limit: float) -> float:
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < limit:
            made.step(actions[steps % 64])
            steps += 1
        return steps * config.num_envs / (time.perf_counter() - start)

    run(0.1 * seconds)
    fps = run(seconds)
    made.close()
    return fps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=None, help="of envpool and ale; all cores if not given")
    parser.add_argument("--envs", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'frames per second':<36}" + "".join(f"{f'{n} envs':>12}" for n in NUM_ENVS))
    for env_id in arguments.envs:
        try:
            chosen = envs.inspect(EnvConfig(id=env_id)).backend
        except ValueError as error:
            print(f"SKIPPED {env_id}: {error}")
            continue
        for backend in BACKENDS[env_id]:
            row = f"{env_id:<16} {backend + '*' * (backend == chosen):<19}"
            try:
                for num_envs in NUM_ENVS:
                    config = EnvConfig(id=env_id, num_envs=num_envs, backend=backend, num_threads=arguments.threads)
                    envs.inspect(config)
                    useless = backend == "async" and num_envs > MAX_PROCESSES
                    row += f"{'-':>12}" if useless else f"{measure(config, arguments.seconds):>12,.0f}"
            except ValueError as error:
                row = f"SKIPPED {env_id} {backend}: {error}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
