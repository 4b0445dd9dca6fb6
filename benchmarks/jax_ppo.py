"""PPO on CartPole as one compiled program, env and all, in the manner of PureJaxRL (Lu et al. 2022).

    python -m venv ../jax && ../jax/bin/pip install jax==0.10.2
    ../jax/bin/python benchmarks/jax_ppo.py --sessions 4 --frames 500000

The peer of `ppo_cartpole` in benchmarks/speed.py, with the same settings. It needs JAX and nothing else. The program is
compiled and run once before the clock starts; it writes no logs. The last line is JSON.
"""

import argparse
import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

NUM_ENVS, NUM_STEPS, NUM_EPOCHS, NUM_MINIBATCHES = 8, 128, 4, 4
HIDDEN = (64, 64)
LR, ADAM_EPS, MAX_GRAD_NORM = 3e-4, 1e-5, 0.5
GAMMA, GAE_LAMBDA, CLIP_COEF, ENT_COEF, VF_COEF = 0.99, 0.95, 0.2, 0.0, 0.5
MAX_EPISODE_STEPS = 500

Layers = list[tuple[Array, Array]]
Params = dict[str, Layers]
Rows = dict[str, Array]
"""``[T, N, ...]`` of a rollout, ``[B, ...]`` of a minibatch."""
Env = tuple[Array, Array]
"""Observations ``[N, 4]``, steps of the episodes so far ``[N]``."""
Learner = tuple[Params, Params, Params, Array]
"""Parameters; mean and square of gradients and a count, of Adam."""


def make_mlp(key: Array, sizes: tuple[int, ...], last_gain: float) -> Layers:
    """Weights and biases: orthogonal, 0."""
    gains = [2**0.5] * (len(sizes) - 2) + [last_gain]
    layers = zip(jax.random.split(key, len(gains)), gains, sizes[:-1], sizes[1:], strict=True)
    return [(jax.nn.initializers.orthogonal(gain)(k, shape), jnp.zeros(shape[1])) for k, gain, *shape in layers]


def mlp(layers: Layers, x: Array) -> Array:
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = jnp.tanh(x @ w + b)
    return x @ weight + bias


def value_of(params: Params, obs: Array) -> Array:
    return mlp(params["critic"], obs).squeeze(-1)


def first_obs(key: Array) -> Array:
    return jax.random.uniform(key, (NUM_ENVS, 4), minval=-0.05, maxval=0.05)


def move(obs: Array, action: Array) -> tuple[Array, Array]:
    """The observation after a step ``[N, 4]`` and whether the episode terminates: Barto, Sutton & Anderson 1983."""
    _, x_dot, theta, theta_dot = obs.T
    force = jnp.where(action == 1, 10.0, -10.0)
    sin, cos = jnp.sin(theta), jnp.cos(theta)
    push = (force + 0.05 * theta_dot**2 * sin) / 1.1  # kg: 1 of the cart, 0.1 of the pole, whose half is 0.5 m long
    theta_acc = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    x_acc = push - 0.05 * theta_acc * cos / 1.1
    obs = obs + 0.02 * jnp.stack([x_dot, x_acc, theta_dot, theta_acc], -1)
    return obs, (jnp.abs(obs[:, 0]) > 2.4) | (jnp.abs(obs[:, 2]) > 12 * jnp.pi / 180)


def env_step(params: Params, env: Env, key: Array) -> tuple[Env, Rows]:
    """One step of all sub-envs, and what is learned from it. An episode that ends begins anew in the same step."""
    obs, length = env
    key_action, key_reset = jax.random.split(key)
    logits = mlp(params["actor"], obs)
    action = jax.random.categorical(key_action, logits)
    log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
    next_obs, terminated = move(obs, action)
    length = length + 1  # and return: a step pays 1
    done = terminated | (length >= MAX_EPISODE_STEPS)
    row = {"obs": obs, "action": action, "log_prob": log_prob, "next_obs": next_obs, "terminated": terminated}
    row |= {"done": done, "length": length}
    return (jnp.where(done[:, None], first_obs(key_reset), next_obs), jnp.where(done, 0, length)), row


def add_advantage(params: Params, rollout: Rows) -> Rows:
    """The rollout with advantages and returns ``[T, N]``; an episode that is cut goes on with its successor's value."""
    value, next_value = value_of(params, rollout["obs"]), value_of(params, rollout["next_obs"])
    delta = 1.0 + GAMMA * next_value * ~rollout["terminated"] - value

    def back(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, done = step
        advantage = delta + GAMMA * GAE_LAMBDA * later * ~done
        return advantage, advantage

    _, advantage = jax.lax.scan(back, jnp.zeros(NUM_ENVS), (delta, rollout["done"]), reverse=True)
    return rollout | {"advantage": advantage, "returns": advantage + value}


def ppo_loss(params: Params, batch: Rows) -> Array:
    log_probs = jax.nn.log_softmax(mlp(params["actor"], batch["obs"]))
    log_prob = jnp.take_along_axis(log_probs, batch["action"][:, None], -1)[:, 0]
    ratio = jnp.exp(log_prob - batch["log_prob"])
    advantage = (batch["advantage"] - batch["advantage"].mean()) / (batch["advantage"].std() + 1e-8)
    gain = jnp.minimum(ratio * advantage, ratio.clip(1 - CLIP_COEF, 1 + CLIP_COEF) * advantage).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    value_loss = 0.5 * jnp.square(value_of(params, batch["obs"]) - batch["returns"]).mean()
    return -gain - ENT_COEF * entropy + VF_COEF * value_loss


def adam_step(learner: Learner, batch: Rows) -> tuple[Learner, None]:
    """One step of Adam (Kingma & Ba 2015) on a minibatch, the gradient's norm clipped."""
    params, mean, square, count = learner
    grad = jax.grad(ppo_loss)(params, batch)
    norm = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(grad)))
    grad = jax.tree.map(lambda g: g * jnp.minimum(1.0, MAX_GRAD_NORM / (norm + 1e-6)), grad)
    count = count + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grad)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, grad)
    rate, scale = LR / (1 - 0.9**count), 1 / (1 - 0.999**count)
    params = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s * scale) + ADAM_EPS), params, mean, square)
    return (params, mean, square, count), None


def update(carry: tuple[Learner, Env], key: Array) -> tuple[tuple[Learner, Env], Array]:
    """A rollout, and what is learned from it. Gives the lengths of episodes, 0 where none ends, ``[T, N]``."""
    learner, env = carry
    key_rollout, key_order = jax.random.split(key)
    env, rollout = jax.lax.scan(partial(env_step, learner[0]), env, jax.random.split(key_rollout, NUM_STEPS))
    lengths = jnp.where(rollout["done"], rollout["length"], 0)
    rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), add_advantage(learner[0], rollout))
    orders = jax.vmap(lambda k: jax.random.permutation(k, NUM_STEPS * NUM_ENVS))(
        jax.random.split(key_order, NUM_EPOCHS)
    )
    orders = orders.reshape(NUM_EPOCHS * NUM_MINIBATCHES, -1)
    learner, _ = jax.lax.scan(
        lambda learner, order: adam_step(learner, jax.tree.map(lambda x: x[order], rows)), learner, orders
    )
    return (learner, env), lengths


def train(num_updates: int, key: Array) -> Array:
    """One session. Returns the lengths of its episodes, ``[num_updates, T, N]``."""
    key_actor, key_critic, key_env, key = jax.random.split(key, 4)
    params = {
        "actor": make_mlp(key_actor, (4, *HIDDEN, 2), 0.01),
        "critic": make_mlp(key_critic, (4, *HIDDEN, 1), 1.0),
    }
    zeros = jax.tree.map(jnp.zeros_like, params)
    carry = (params, zeros, zeros, 0), (first_obs(key_env), jnp.zeros(NUM_ENVS, int))
    return jax.lax.scan(update, carry, jax.random.split(key, num_updates))[1]


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1, help="seeds, side by side (default: 1)")
    parser.add_argument("--frames", type=int, default=500_000, help="of each session (default: 500000)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    num_updates = chosen.frames // (NUM_STEPS * NUM_ENVS)
    keys = jax.random.split(jax.random.key(chosen.seed), chosen.sessions)
    start = time.perf_counter()
    program = jax.jit(jax.vmap(partial(train, num_updates))).lower(keys).compile()
    compiled = time.perf_counter()
    program(keys).block_until_ready()
    warm = time.perf_counter()
    lengths = np.asarray(program(keys).block_until_ready()).reshape(chosen.sessions, -1)
    seconds = time.perf_counter() - warm
    returns = [session[session > 0][-100:].mean() for session in lengths]
    found = {"fps": lengths.size / seconds, "compile_s": compiled - start, "mean_return": float(np.mean(returns))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
