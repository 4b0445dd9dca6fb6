import math

import pytest

from rllab.text import score_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.56, "1,234.6"),
        (-73.44, "-73.4"),
        (9.876, "9.88"),
        (9.999, "10.0"),
        (1, "1.0"),
        (0.5, "0.5"),
        (0.0449, "0.0449"),  # one decimal hid which of two success rates was better
        (-0.00012345, "-0.000123"),
        (0.0, "0.0"),
        (1e30, "1e+30"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_scores_show_three_digits_or_one_decimal(value, text):
    assert score_text(value) == text
