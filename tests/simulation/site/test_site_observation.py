"""What a policy sees of a site is what is so, and what it says is what holds."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.cluster.power.limit import LOWEST
from hpcai.cooling.action import Actions
from hpcai.scheduling.gpu_cluster.discipline import Discipline
from hpcai.scheduling.gpu_cluster.work import CHALLENGE, NORMAL
from hpcai.simulation.site.action import apply, names, numbers_of, parted
from hpcai.simulation.site.observation import SITE_FEATURES, seen, seen_names, site_features
from hpcai.simulation.site.setting import SiteSetting
from hpcai.simulation.site.site import OVER, Site
from tests.gpu_workloads import CLUSTER, gpu_cluster_jobs


def a_site() -> Site:
    jobs = gpu_cluster_jobs(np.random.default_rng(0), 120)
    return Site(jobs, SiteSetting(CLUSTER, Discipline(), 86400.0, time_of_day=6 * 3600.0), asks_ticks=True)


def test_features_are_what_is_so():
    site = a_site()
    places = {name: i for i, name in enumerate(SITE_FEATURES)}
    kinds: set[tuple[bool, bool, bool]] = set()
    while site.advance() != OVER:
        found = site_features(site)
        assert (found == seen(site)).all()
        assert len(found) == len(seen_names(cooled=False))
        state = site.cluster
        queue, running = state.queue[: state.at[0]["queued"]], state.running[: state.at[0]["running"]]
        work = state.work
        gpus = work["tasks"] * work["gpu"] / 1000 / CLUSTER.total_gpus
        normal = [j for j in queue if work["rank"][j] == NORMAL]
        short = sum(work["estimate"][j] < 3600 for j in queue)
        challenge = any(work["rank"][j] == CHALLENGE for j in (*queue, *running))
        expected = {
            "pressure": min(gpus[queue].sum(), 3.0),
            "pressure_normal": min(gpus[normal].sum(), 3.0),
            "short_waiting": short / (short + 20),
            "challenge": float(challenge),
            "outdoors": 0.0,
            "day_sin": np.sin(2 * np.pi * (site.env.now / 86400 + 0.25)),
            "waiting": len(queue) / (len(queue) + 100),
        }
        for name, value in expected.items():
            assert found[places[name]] == pytest.approx(value, abs=1e-6), name
        kinds.add((len(normal) > 0, short > 0, challenge))
    assert len(kinds) > 2


def test_what_is_said_holds():
    site, cooling = a_site(), Actions()
    site.advance()
    told = numbers_of({"limit": 0.9, "long_limit": 0.55}, ("power",), cooling)
    apply(site, parted(told, ("power",), cooling), cooling)
    assert (site.limit, site.long_limit) == pytest.approx((0.9, 0.55))
    assert site.power is not None
    assert site.power.limits == pytest.approx(0.9)
    assert set(site.power.own[site.workload.work["estimate"] >= 3600]) == {0.55}
    apply(site, {"power": np.array([-7.0, 7.0])}, cooling)
    assert (site.limit, site.long_limit) == (LOWEST, 1.0)
    apply(site, {"admission": 1}, cooling)
    assert site.flow.holding
    assert (site.limit, site.long_limit) == (LOWEST, 1.0)


def test_numbers_of_parts_are_told_apart():
    cooling, decides = Actions(), ("admission", "cooling", "power")
    known = names(decides, cooling)
    assert known == ("admission", *cooling.names, "limit", "long_limit")
    numbers = numbers_of({"east_supply": 28.0, "long_limit": 0.7, "admission": 1.0}, decides, cooling)
    action = parted(numbers, decides, cooling)
    assert action["admission"] == 1
    assert action["cooling"] == pytest.approx([1.0, 0, 0, 0, 0, 0])
    assert action["power"] == pytest.approx([1.0, 0.0])
    assert numbers_of({"limit": 1.15}, ("power",), cooling) == pytest.approx([1.5, 1.0])
    assert parted(numbers_of({}, decides, cooling), decides, cooling)["admission"] == 0
    with pytest.raises(KeyError, match="supply"):
        numbers_of({"supply": 20.0}, decides, cooling)
