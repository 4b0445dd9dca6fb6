"""The gradient of an actor-critic that takes one step on each rollout."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import pad

from rllab.functional.policy_gradient import loss_gradients, loss_metrics
from rllab.nets.distributions import Distribution


def write_gradients(
    distribution: Distribution,
    outputs: Tensor,
    net_pullback: Callable[[Tensor, Tensor], None],
    action: Tensor,
    weight: Tensor,
    advantage: Tensor,
    error: Tensor,
    *,
    ent_coef: float,
    vf_coef: float,
) -> dict[str, Tensor]:
    """Write the gradient of the loss in `rllab.functional.policy_gradient` into the parameters; returns its metrics.

    Args:
        distribution: the policy's.
        outputs: ``[S, B + N, num_outputs]`` of `ActorCritic.vjp`. The last N rows are the successors of the last step,
            which only lend their values: they have no gradient.
        net_pullback: the pullback of the same call.
        action: ``[S, B, ...]``.
        weight: ``[S, B]``, sums to 1 over the rows of a session that are learned from, 0 in the others.
        advantage: ``[S, B]``.
        error: ``[S, B]``, values less returns.
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value loss.
    """
    num_rows = action.shape[1]
    log_prob, entropy, pullback = distribution.vjp(outputs[:, :num_rows], action)
    grad_log_prob, grad_value, grad_entropy = loss_gradients(
        weight, advantage, error, ent_coef=ent_coef, vf_coef=vf_coef
    )
    rest = (0, outputs.shape[1] - num_rows)
    net_pullback(pad(pullback(grad_log_prob, grad_entropy), (0, 0, *rest)), pad(grad_value, rest))
    return loss_metrics(weight, advantage, error, log_prob, entropy)
