import numpy as np
import pytest
import torch

from rllab.nets.normalize import RewardNorm, RunningNorm


def batches(num_sessions=2, count=6, shape=(3,), seed=0):
    """Observations far from 0, and masks that leave out a different share in each session."""
    generator = torch.Generator().manual_seed(seed)
    keep = torch.linspace(0.4, 0.9, num_sessions).unsqueeze(1)
    for rows in range(5, 5 + count):
        x = torch.randn(num_sessions, rows, *shape, generator=generator) * 4 + 20
        yield x, (torch.rand(num_sessions, rows, generator=generator) < keep).float()


@pytest.mark.parametrize("shape", [(3,), (), (2, 2)])
def test_statistics_are_those_of_all_valid_rows(shape):
    norm, seen = RunningNorm(2, *shape), [[], []]
    for x, mask in batches(shape=shape):
        norm.update(x, mask)
        for session in range(2):
            seen[session].append(x[session, mask[session] > 0].numpy())
    for session in range(2):
        rows = np.concatenate(seen[session])
        assert norm.count[session].item() == len(rows)
        np.testing.assert_allclose(norm.mean[session, 0], rows.mean(0), rtol=1e-5)
        np.testing.assert_allclose(norm.var[session, 0], rows.var(0), rtol=1e-4)


def test_update_by_hand():
    # valid 1, 3 (the 100 is masked): mean 2, variance 1. Then 8: mean 4, variance (9 + 1 + 16) / 3
    norm = RunningNorm(1, 1)
    norm.update(torch.tensor([[[1.0], [100.0], [3.0]]]), torch.tensor([[1.0, 0.0, 1.0]]))
    assert (norm.count.item(), norm.mean.item(), norm.var.item()) == (2.0, 2.0, 1.0)
    norm.update(torch.tensor([[[8.0]]]), torch.ones(1, 1))
    assert (norm.count.item(), norm.mean.item()) == (3.0, pytest.approx(4.0))
    assert norm.var.item() == pytest.approx(26 / 3)


def test_masked_rows_do_not_count():
    first, second = RunningNorm(2, 3), RunningNorm(2, 3)
    for x, mask in batches():
        first.update(x, mask)
        second.update(torch.where(mask.unsqueeze(-1) > 0, x, 1e6), mask)
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.var, second.var)


def test_a_batch_without_valid_rows_changes_nothing():
    norm = RunningNorm(2, 3)
    norm.update(torch.full((2, 4, 3), 9.0), torch.zeros(2, 4))  # not even before the first
    assert norm.var.tolist() == torch.ones(2, 1, 3).tolist()
    for x, mask in batches():
        norm.update(x, mask)
    before = [x.clone() for x in norm.buffers()]
    norm.update(torch.full((2, 4, 3), 9.0), torch.zeros(2, 4))
    assert all(torch.equal(x, y) for x, y in zip(before, norm.buffers(), strict=True))


def test_one_session_does_not_move_another():
    first, second = RunningNorm(2, 3), RunningNorm(2, 3)
    for x, mask in batches():
        first.update(x, mask)
        x[0], mask[0] = 5.0, 1.0
        second.update(x, mask)
    for x, y in zip(first.buffers(), second.buffers(), strict=True):
        assert torch.equal(x[1], y[1])
        assert not torch.equal(x[0], y[0])


def test_forward_standardises_clips_and_does_not_learn():
    norm = RunningNorm(1, 1, clip=2.0)
    norm.mean.fill_(3.0)
    norm.var.fill_(4.0)
    norm.count.fill_(10.0)
    before = {name: x.clone() for name, x in norm.state_dict().items()}
    y = norm(torch.tensor([[[3.0], [5.0], [0.0], [100.0], [-100.0]]]))
    assert y[0, :, 0].tolist() == pytest.approx([0.0, 1.0, -1.5, 2.0, -2.0])
    assert norm.scale(torch.tensor([[[-1.0], [9.0]]]))[0, :, 0].tolist() == pytest.approx([-0.5, 2.0])
    assert all(torch.equal(x, before[name]) for name, x in norm.state_dict().items())
    assert set(before) == {"mean", "var", "count"}  # export and checkpoints carry them


def test_before_the_first_update_it_changes_nothing():
    x = torch.tensor([[[0.5, -2.0]]])
    torch.testing.assert_close(RunningNorm(1, 2)(x), x)


def test_host_equals_forward_and_sees_updates_and_loads():
    norm = RunningNorm(2, 3, clip=1.0)
    host = norm.host()
    x = torch.randn(2, 5, 3) * 9 + 20
    for batch in batches():
        norm.update(*batch)
        np.testing.assert_allclose(host(x.numpy()), norm(x).numpy(), rtol=1e-5, atol=1e-6)
    norm.load_state_dict({"mean": norm.mean - 1, "var": norm.var * 2, "count": norm.count})
    np.testing.assert_allclose(host(x.numpy()), norm(x).numpy(), rtol=1e-5, atol=1e-6)
    assert host(x.numpy()).dtype == np.float32


def test_rewards_are_scaled_by_the_spread_of_discounted_returns_by_hand():
    # gamma 1/2. Running returns 2, 2 + 2/2 = 3 | end, so 4, 1 + 4/2 = 3: of 2, 3, 4, 3 the variance is 1/2. Of the
    # first two alone it is 1/4, hence 2 / (1/2)
    norm = RewardNorm(1, 1, gamma=0.5)

    def rollout(reward, terminated):
        flags = torch.tensor(terminated).view(-1, 1, 1)
        rows = {
            "reward": torch.tensor(reward).view(-1, 1, 1),
            "terminated": flags,
            "truncated": torch.zeros_like(flags),
        }
        return rows | {"valid": torch.ones_like(flags)}

    assert norm.scale_rollout(rollout([2.0, 2.0], [False, True])).flatten().tolist() == pytest.approx([4.0, 4.0])
    scaled = norm.scale_rollout(rollout([4.0, 1.0], [False, False])).flatten().tolist()
    assert scaled == pytest.approx([4 * 2**0.5, 2**0.5])
    assert norm.discounted_return.item() == 3.0
