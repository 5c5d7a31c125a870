"""Whatever is written of the jobs that wait, a real Slurm starts them in that order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpcai.live.slurm.command_line import CommandLine
from tests.live.conftest import talking_to
from tests.live.slurm_files import Setup
from tests.live.slurm_jobs import start_in_order


@pytest.fixture(scope="module", params=["multifactor", "basic"])
def priority_type(request: pytest.FixtureRequest) -> Iterator[str]:
    with talking_to(Setup(priority=request.param)):
        yield request.param


@pytest.mark.parametrize("how", ["site_factor", "nice", "priority"])
def test_jobs_start_in_the_order_that_was_written(priority_type, how, tmp_path):
    if how == "site_factor" and priority_type == "basic":
        return  # no factors there
    start_in_order(CommandLine(how), 2, tmp_path / how)
