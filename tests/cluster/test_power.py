"""What machines and jobs draw, and what a power limit costs them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcai.cluster.power.figures import figures
from hpcai.cluster.power.limit import limited, speed_under
from hpcai.cluster.power.model import job_power, power_model
from hpcai.cluster.power.use import drawn_use, uniform
from hpcai.cluster.spec import Machine, NodeGroup, load_machine

EFFICIENCY = 0.9408


def test_a_machine_draws_what_its_groups_say_behind_their_power_supplies() -> None:
    model = power_model(load_machine("mn-1b"))  # 64 nodes of 300 to 800 W with 8 GPUs of 40 to 300 W
    assert model.idle * EFFICIENCY == pytest.approx(64 * (300 + 8 * 40))
    assert model.maximum * EFFICIENCY == pytest.approx(64 * (800 + 8 * 300))


def test_what_a_group_leaves_out_comes_from_the_figures() -> None:
    gpus = NodeGroup(name="a", count=2, cpus=64, memory_gib=512, gpus=4, gpu_kind="NVIDIA A100-SXM4-80GB", nics=2)
    model = power_model(Machine(name="m", groups=(gpus,)))
    assert model.idle * EFFICIENCY == pytest.approx(2 * 4 * (119 + 62))
    assert model.maximum * EFFICIENCY == pytest.approx(2 * 4 * (209 + 400))
    plain = NodeGroup(name="b", count=3, cpus=128, memory_gib=512, sockets=2)
    model = power_model(Machine(name="m", groups=(plain,)))
    assert model.idle * EFFICIENCY == pytest.approx(3 * (2 * 90 + 104 + 20))
    assert model.maximum * EFFICIENCY == pytest.approx(3 * (2 * 280 + 104 + 20))
    assert figures().gpu("unheard of") == figures().gpus["other"]


def test_a_server_of_eight_a100_draws_what_acme_measured() -> None:
    """Idle 1,512 W; a GPU of Seren 168.6 W in the mean; a server of either cluster 2,930 W."""
    group = NodeGroup(name="a", count=1, cpus=128, memory_gib=1024, sockets=2, gpus=8, gpu_kind="A100")
    model = power_model(Machine(name="seren", groups=(group,)))
    assert model.idle == pytest.approx(1512, rel=0.03)
    names = [str(i) for i in range(50_000)]
    in_use = 0.69
    gpu, cpu = (drawn_use(names, part, 0).mean() for part in ("gpu", "cpu"))
    unit = model.groups[0]
    mean = model.idle + in_use * (8 * unit.gpu_dynamic * gpu + 128 * unit.cpu_dynamic * cpu)
    gpus = mean * EFFICIENCY - 8 * 119 - in_use * 128 * unit.cpu_dynamic * EFFICIENCY * cpu
    assert gpus == pytest.approx(8 * 168.6, rel=0.04)
    assert 2300 < mean < 2930


def test_processors_are_parts_of_nodes_or_stand_for_gpus() -> None:
    machine = Machine.by_processors(128)
    assert power_model(machine).idle * EFFICIENCY == pytest.approx(2 * (90 + 104 + 20))
    assert power_model(machine).maximum * EFFICIENCY == pytest.approx(2 * (280 + 104 + 20))
    assert power_model(machine, of_gpus=True).maximum * EFFICIENCY == pytest.approx(128 * 300)


def test_jobs_that_fill_the_machine_in_full_use_draw_all_of_it() -> None:
    model = power_model(load_machine("mn-1"))  # 1024 P100 with 2048 cores, 512 V100 with 2304
    where, full = np.eye(2), np.ones(2)
    for processors in (np.zeros(2), np.array([2048.0, 2304.0])):
        power = job_power(model, where, np.array([1024.0, 512.0]), processors, full, full)
        assert power.total.sum() == pytest.approx(model.maximum, rel=1e-12)
        assert power.idle.sum() == pytest.approx(model.idle, rel=1e-12)


def test_a_recorded_power_goes_first_and_is_never_below_idle() -> None:
    model = power_model(load_machine("mn-1b"))
    gpus, none, use = np.full(3, 8.0), np.zeros(3), np.full(3, 0.5)
    modelled = job_power(model, np.ones((3, 1)), gpus, none, use, use)
    power = job_power(model, np.ones((3, 1)), gpus, none, use, use, np.array([2000.0, 1.0, np.nan]))
    assert power.total == pytest.approx([2000.0, power.idle[1], modelled.total[2]])
    assert power.gpu_dynamic[0] / power.cpu_dynamic[0] == pytest.approx(
        modelled.gpu_dynamic[0] / modelled.cpu_dynamic[0]
    )


def test_use_is_drawn_by_name_and_seed_and_has_the_measured_distribution() -> None:
    names = [str(i) for i in range(20_000)]
    use = drawn_use(names, "gpu", 1)
    np.testing.assert_array_equal(use[::-1], drawn_use(names[::-1], "gpu", 1))
    assert not np.array_equal(use, drawn_use(names, "gpu", 2))
    assert abs(np.corrcoef(uniform(names, "gpu", 1), uniform(names, "cpu", 1))[0, 1]) < 0.03
    assert np.quantile(use, [0.25, 0.5, 0.75]) == pytest.approx([0.099, 0.223, 0.873], abs=0.03)
    assert use.mean() == pytest.approx(0.45, abs=0.01)


def test_speed_under_a_limit_is_what_zeus_measured() -> None:
    """ResNet-50, batch 128, V100: 3604 s an epoch at 222 W, 4243 s at 145 W, 6824 s at 99 W."""
    left = (np.array([222.44, 145.46, 99.50]) - 39) / (222.44 - 39)
    assert speed_under(left, "V100") == pytest.approx([1.0, 3603.6 / 4243.3, 3603.6 / 6824.4], abs=0.003)
    left = (np.array([165.5, 127.6]) - 33) / (165.5 - 33)
    assert speed_under(left, "P100") == pytest.approx([1.0, 6278 / 6678.8], abs=0.003)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_lower_limit_never_makes_a_job_faster_or_hungrier(use: float, low: float, high: float) -> None:
    model = power_model(load_machine("mn-1b"))
    limits, uses, where = np.sort([low, high]), np.full(2, use), np.ones((2, 1))
    drawn, speed = limited(uses, limits, where, model)
    assert drawn[0] <= drawn[1] <= use
    assert 0 <= speed[0] <= speed[1] <= 1
    unlimited, full = limited(uses, np.ones(2), where, model)
    assert unlimited.tolist() == uses.tolist()
    assert full.tolist() == [1.0, 1.0]


def test_a_limit_holds_back_only_who_would_draw_more() -> None:
    model = power_model(load_machine("mn-1b"))
    use, speed = limited(np.array([0.2, 0.9]), np.full(2, 0.5), np.ones((2, 1)), model)
    most = (0.5 - 40 / 300) / (1 - 40 / 300)
    assert use == pytest.approx([0.2, most])
    assert speed[0] == 1
    assert speed[1] == pytest.approx(speed_under(np.array([most / 0.9]), "V100")[0])
