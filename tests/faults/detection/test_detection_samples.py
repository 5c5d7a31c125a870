"""Rows and what became of them, by hand."""

from __future__ import annotations

import numpy as np

from hpcai.faults.detection.history import history_of
from hpcai.faults.detection.samples import Ahead, features_of, samples_of
from tests.faults.detection.small_logs import DAY, drawn_log, log_of


def rows(log, lead: float, horizon: float, step: float = 1.0):
    return samples_of(log, history_of(log), Ahead(lead * DAY, horizon * DAY), step * DAY)


def test_labels_by_hand():
    found = rows(log_of([("a", 5.5, 5.6)], ["a"], 10), 0, 2)
    assert (found.time / DAY).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]  # after day 8 the log does not say for two days
    assert np.flatnonzero(found.label).tolist() == [4, 5]


def test_a_lead_moves_the_window_of_the_label():
    found = rows(log_of([("a", 5.5, 5.6)], ["a"], 10), 1, 2)
    assert (found.time[found.label] / DAY).tolist() == [3, 4]


def test_the_window_is_open_at_its_beginning():
    found = rows(log_of([("a", 5, np.nan)], ["a"], 10), 0, 1)
    assert (found.time[found.label] / DAY).tolist() == [4]


def test_a_node_under_repair_is_not_asked():
    found = rows(log_of([("a", 2.5, 6), ("a", 3, 4), ("a", 8, np.nan)], ["a"], 12), 0, 1)
    assert (found.time / DAY).tolist() == [0, 1, 2, 6, 7, 8, 9, 10, 11]


def test_who_leaves_service_is_censored_unless_it_failed_first():
    log = log_of([("a", 5.5, np.nan)], ["a", "b"], 10, out_of_service=[6 * DAY, 6 * DAY])
    found = rows(log, 0, 2)
    assert (found.time[found.node == 0] / DAY).tolist() == [0, 1, 2, 3, 4, 5]
    assert (found.time[found.node == 1] / DAY).tolist() == [0, 1, 2, 3, 4]


def test_who_enters_service_later_is_asked_from_then_on():
    found = rows(log_of([("a", 8.5, np.nan)], ["a"], 10, in_service=[6.5 * DAY]), 0, 1)
    assert (found.time / DAY).tolist() == [7, 8, 9]


def test_rows_of_a_node_follow_one_another_and_features_fit():
    log = drawn_log(1)
    history = history_of(log)
    found = samples_of(log, history, Ahead(3600, DAY), DAY / 2)
    assert (np.diff(found.node) >= 0).all()
    assert (np.diff(found.time)[np.diff(found.node) == 0] > 0).all()
    assert len(features_of(history, found)) == len(found)
