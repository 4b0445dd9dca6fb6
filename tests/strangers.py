"""Which attacks of a stranger every run of the tests tries, and which are left to the slow ones."""

import pytest


def some(cases, *quick):
    """Cases of a parametrized test, from a dict or a list of texts or functions: those not named here are slow."""
    if not isinstance(cases, dict):
        cases = {getattr(case, "__name__", case): case for case in cases}
    assert set(quick) <= cases.keys()
    return [
        pytest.param(case, id=name, marks=[] if name in quick else pytest.mark.slow) for name, case in cases.items()
    ]
