"""The table of runs that figures are drawn of."""

import pytest
from drawings import made
from small_studies import store_of


@pytest.fixture
def table(tmp_path):
    """Two random splits, one of them in both directions, man-made halves and random filters."""
    records = made() + made("random:1", shift=0.02) + made("random:1", "A", -0.03)
    records += made("natural-manmade", "A", shift=0.05, families=("base", "AnB"))
    records += made("natural-manmade", "B", shift=-0.05, families=("base", "AnB"))
    records += made(families=("RnB",))
    return store_of(tmp_path / "store", *records).table()
