"""The loss of actor-critics that take one gradient step on each rollout, and its gradient.

The loss of a session is the sum over rows of ``weight * (policy_loss + vf_coef * value_loss - ent_coef * entropy)``
with ``policy_loss = -log_prob * advantage`` and ``value_loss = (value - returns)^2 / 2``. The gradient is written out,
because autograd would spend more on these few steps than on a small network.
"""

from torch import Tensor


def loss_gradients(
    weight: Tensor, advantage: Tensor, error: Tensor, *, ent_coef: float, vf_coef: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the loss with respect to log-probabilities, values and entropies, ``[S, B]`` each.

    Args:
        weight: ``[S, B]``, sums to 1 over the rows of a session that are learned from, 0 in the others.
        advantage: ``[S, B]``.
        error: ``[S, B]``, values less returns.
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value loss.
    """
    return weight * -advantage, weight * error * vf_coef, weight * -ent_coef


def loss_metrics(
    weight: Tensor, advantage: Tensor, error: Tensor, log_prob: Tensor, entropy: Tensor
) -> dict[str, Tensor]:
    """What a person watches, ``[S]`` each."""
    return {
        "train/policy_loss": (weight * -log_prob * advantage).sum(-1),
        "train/value_loss": (weight * 0.5 * error.square()).sum(-1),
        "train/entropy": (weight * entropy).sum(-1),
    }
