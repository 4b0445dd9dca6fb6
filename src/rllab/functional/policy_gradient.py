"""The loss of actor-critics that take one gradient step on each rollout."""

from torch import Tensor


def actor_critic_loss(
    log_prob: Tensor,
    entropy: Tensor,
    advantage: Tensor,
    error: Tensor,
    weight: Tensor,
    *,
    ent_coef: float,
    vf_coef: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """``policy_loss + vf_coef * value_loss - ent_coef * entropy`` of each session, ``[S]``, and its parts.

    Args:
        log_prob: ``[S, B]``, of the actions that were taken.
        entropy: ``[S, B]``.
        advantage: ``[S, B]``, a constant.
        error: ``[S, B]``, values less returns.
        weight: ``[S, B]``, sums to 1 over the rows of a session that are learned from, 0 in the others.
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value loss.
    """
    policy_loss = -(weight * log_prob * advantage).sum(-1)
    value_loss = 0.5 * (weight * error.square()).sum(-1)
    mean_entropy = (weight * entropy).sum(-1)
    metrics = {
        "train/policy_loss": policy_loss.detach(),
        "train/value_loss": value_loss.detach(),
        "train/entropy": mean_entropy.detach(),
    }
    return policy_loss + vf_coef * value_loss - ent_coef * mean_entropy, metrics
