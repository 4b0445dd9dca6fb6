"""What off-policy algorithms share: whether a replay buffer fits, and whether it is saved."""

import gymnasium.spaces as gs
import pytest

from rllab.algorithms import Task
from rllab.algorithms.shared import off_policy
from rllab.algorithms.shared.off_policy import ReplaySettings
from rllab.host import memory

TASK = Task(gs.Box(-1.0, 1.0, (1,)), gs.Discrete(5), num_sessions=4, num_envs=8, max_frame=10**7)


@pytest.mark.parametrize(("asked", "saved"), [(None, True), (False, False)])
def test_a_small_buffer_is_saved_unless_told_otherwise(asked, saved):
    assert off_policy.make_replay(ReplaySettings(buffer_size=800, save_buffer=asked), TASK, "cpu").save == saved


def test_a_large_buffer_is_saved_if_told_so(monkeypatch):
    monkeypatch.setattr(off_policy, "SAVED_BELOW", 1000)
    for asked in (None, True):
        assert off_policy.make_replay(ReplaySettings(buffer_size=800, save_buffer=asked), TASK, "cpu").save == bool(
            asked
        )


def test_refusals(monkeypatch):
    def check(buffer_size, learning_starts=0):
        off_policy.check_replay(ReplaySettings(buffer_size=buffer_size, learning_starts=learning_starts), TASK)

    check(16)
    with pytest.raises(ValueError, match=r"^agent\.buffer_size: got 15, too small .* write at least 16$"):
        check(15)
    with pytest.raises(ValueError, match=r"agent\.learning_starts=1001; write at least 1008$"):
        check(1000, 1001)
    check(1008, 1001)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**20)
    with pytest.raises(
        ValueError, match=r"^agent\.buffer_size: got 1000000, which needs 0\.1 GiB .* write at most"
    ) as e:
        check(1_000_000)
    check(int(str(e.value).split()[-1]))
