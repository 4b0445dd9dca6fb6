import math

import pytest
import torch

from rllab.functional.schedules import make_schedule
from rllab.optim.temperature import Temperature, check_ent_coef


def test_it_falls_where_the_policy_is_too_random_and_rises_where_it_is_not():
    temperature = Temperature(None, target_entropy=-1.0, num_sessions=2, device="cpu")
    temperature.step(torch.tensor([[0.0, 2.0], [-2.0, -3.0]]), 0.1)  # 2 above the target, 1.5 below
    # Adam's first step is the learning rate, whatever the gradient
    torch.testing.assert_close(temperature.value(0.0), torch.tensor([[math.exp(-0.1)], [math.exp(0.1)]]))
    torch.testing.assert_close(temperature.flat.grad, torch.tensor([[2.0], [-1.5]]))


def test_a_number_or_a_schedule_is_not_learned():
    temperature = Temperature(make_schedule("linear:0.2:0"), target_entropy=-1.0, num_sessions=2, device="cpu")
    temperature.step(torch.ones(2, 3), 0.1)
    torch.testing.assert_close(temperature.value(0.5), torch.full((2, 1), 0.1))


@pytest.mark.parametrize("value", ["automatic", -0.1, "linear:0.1:-1"])
def test_refused(value):
    with pytest.raises(ValueError, match=r"^agent\.ent_coef: got .*, or auto$"):
        check_ent_coef(value)
