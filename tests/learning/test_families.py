"""Which formulas are tuned where."""

from __future__ import annotations

import pytest

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.learning.families import families_for
from hpcai.scheduling.policy import Policy
from tests.workloads import SMALL_CLUSTER


def names(backfill: str, *machines: Machine) -> set[str]:
    return {family.name for family in families_for(Policy(backfill=backfill), (), machines)}


def test_headroom_takes_no_part_where_it_cannot_be_replayed():
    everywhere = names("easy", SMALL_CLUSTER)
    assert "area-headroom" in everywhere
    assert everywhere == names("conservative", Machine.by_processors(8)) == names("conservative")
    assert names("conservative", SMALL_CLUSTER) == {name for name in everywhere if "headroom" not in name}
    with pytest.raises(InputError, match=r"headroom: machine .* is counted by node"):
        families_for(Policy(backfill="conservative"), ("area-headroom",), [SMALL_CLUSTER])
