"""What is seen of a node: numbers counted by hand, and nothing that lies ahead."""

from __future__ import annotations

import numpy as np
import pytest

from hpcai.faults.detection.features import event_features, features_seen, frequent_templates
from hpcai.faults.detection.history import history_of, template_of
from tests.faults.detection.small_logs import DAY, drawn_log, known_at, log_of


def seen(log, node: int, days: list[float], templates=()) -> dict[str, list[float]]:
    x = event_features(history_of(log), node, np.array(days) * DAY, templates)
    return {feature.name: x[:, i].tolist() for i, feature in enumerate(features_seen(templates))}


@pytest.fixture
def small():
    """Node a fails at days 10, 11, 15, 35; b once; a is told of at day 12, and comes back late from its third."""
    events = [
        ("a", 10, 10.5, "fatal", "gpu", "Xid 79"),
        ("a", 11, np.nan, "fatal", "memory", "DIMM 3"),
        ("a", 15, 17, "fatal", "gpu", "Xid 48"),
        ("a", 35, 36, "fatal", "disk", "disk"),
        ("a", 12, np.nan, "degraded", "gpu", "Xid 31"),
        ("b", 14, 14.5, "fatal", "power", "PSU 1"),
    ]
    return log_of(events, ["a", "b", "c"], 60, switch=["s", "s", "t"], processors=[64.0, 64.0, 2.0])


def test_by_hand(small):
    x = seen(small, 0, [5, 15, 16, 20], ("Xid #",))
    assert x["failures_1d"] == [0, 1, 0, 0]  # what happens at this very moment is known, what was a day ago is over
    assert x["failures_7d"] == [0, 3, 3, 1]
    assert x["failures_180d"] == [0, 3, 3, 3]
    assert x["rate"] == [0, 3 / 15, 3 / 16, 3 / 20]
    assert x["since_last"] == [5 * DAY, 0, DAY, 3 * DAY]  # the repair that ends at day 17 is not yet known at day 16
    assert x["failed_before"] == [0, 1, 1, 1]
    assert np.isnan(x["last_gap"][0])
    assert x["last_gap"][1:] == [4 * DAY] * 3
    assert x["repair_30d"] == [0, 0.5 * DAY, 0.5 * DAY, 2.5 * DAY]
    assert x["warnings_7d"] == [0, 1, 1, 0]
    assert np.isnan(x["since_warning"][0])
    assert x["since_warning"][1:] == [3 * DAY, 4 * DAY, 8 * DAY]
    assert (x["gpu_180d"], x["memory_180d"], x["disk_180d"]) == ([0, 2, 2, 2], [0, 1, 1, 1], [0, 0, 0, 0])
    assert x["near_7d"] == [0, 1, 1, 1]  # b behind the same switch
    assert x["around_7d"] == [0, 0.5, 0.5, 0.5]  # of b and c
    assert x["told: Xid #"] == [0, 3, 3, 3]
    assert x["processors"] == [64] * 4
    assert np.isnan(x["gpus"]).all()


def test_burstiness_by_hand(small):
    gaps = np.array([1.0, 4.0, 20.0])
    expected = (gaps.std() - gaps.mean()) / (gaps.std() + gaps.mean())
    before, after = seen(small, 0, [34, 40])["burstiness"]
    assert np.isnan(before)  # two gaps tell nothing
    assert after == pytest.approx(expected)


def test_who_has_no_neighbours_is_told_apart(small):
    assert np.isnan(seen(small, 2, [20])["near_7d"]).all()
    assert seen(small, 2, [20])["failures_180d"] == [0]


def test_age_counts_from_service_and_rate_from_when_it_is_watched():
    log = log_of([("a", 10, 11)], ["a"], 60, in_service=[-100 * DAY])
    x = seen(log, 0, [20])
    assert (x["age"], x["rate"]) == ([120 * DAY], [1 / 20])


@pytest.mark.parametrize("seed", range(3))
def test_nothing_ahead_is_seen(seed):
    """At every moment the features are those of the log as it stood then."""
    log = drawn_log(seed)
    templates = frequent_templates(log, 300 * DAY, 5)
    rng = np.random.default_rng(seed)
    times = np.concatenate([rng.uniform(0, 300 * DAY, 8), log.events["start"].to_numpy()[::20]])
    whole = history_of(log)
    for time in times:
        earlier = history_of(known_at(log, time))
        for node in np.flatnonzero(log.service[0] <= time):
            now = np.array([time])
            np.testing.assert_array_equal(
                event_features(whole, node, now, templates), event_features(earlier, node, now, templates)
            )


def test_what_is_ahead_would_be_noticed():
    """The test above would fail if a feature looked ahead: a log with an event less differs just after it."""
    log = drawn_log(0)
    start = float(log.events["start"].iloc[60])
    node = log.nodes["node"].tolist().index(log.events["node"].iloc[60])
    earlier = history_of(known_at(log, start - 1.0))
    now = np.array([start])
    assert not np.array_equal(
        event_features(history_of(log), node, now), event_features(earlier, node, now), equal_nan=True
    )


def test_templates_mask_numbers_and_are_those_known_by_then():
    assert template_of("Xid 79, pid=1234 at 0xdeadBEEF") == "Xid #, pid=# at #"
    events = [("a", day, np.nan, "info", "unknown", f"link {day} down") for day in (1, 2, 3)]
    events += [("a", 1.5, np.nan, "info", "unknown", "fan"), ("a", 9, np.nan, "info", "unknown", "later")]
    log = log_of(events, ["a"], 10)
    assert frequent_templates(log, 5 * DAY, 10) == ("link # down", "fan")
    assert frequent_templates(log, 5 * DAY, 1) == ("link # down",)


def test_severities_say_what_a_failure_is(small):
    x = event_features(history_of(small, ("degraded",)), 0, np.array([13 * DAY]))
    names = [feature.name for feature in features_seen()]
    assert x[0, names.index("failures_7d")] == 1
    assert x[0, names.index("warnings_7d")] == 2
