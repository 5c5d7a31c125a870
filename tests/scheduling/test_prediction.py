"""Tsafrir's predictor and the correction of overruns worked by hand, causality, files that are refused."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcai.cluster import Machine
from hpcai.errors import InputError
from hpcai.scheduling.history import FEATURES, recorded_features
from hpcai.scheduling.policy import Policy
from hpcai.scheduling.prediction import STEPS, correct_overruns, make_prediction
from hpcai.scheduling.predictor import (
    NO_TREES,
    OUTPUTS,
    SCHEMA,
    TREE_NODE,
    Model,
    load_model,
    recorded_predictions,
    save_model,
)
from hpcai.scheduling.rules import ENDED, SUBMITTED, on_event
from hpcai.scheduling.state import State, make_state
from hpcai.simulation import replay
from tests.workloads import random_jobs, starts, table

ONE, TWO = Machine.by_processors(1), Machine.by_processors(2)
NAN = math.nan


def stump(value: float = 5.0) -> Model:
    """One tree that splits the median on the logarithm of the processors."""
    nodes = np.zeros(3, dtype=TREE_NODE)
    nodes["left"], nodes["right"] = [1, -1, -1], [2, -1, -1]
    nodes["threshold"][0] = 1.0
    nodes["value"] = [0.0, value, 2 * value]
    return Model(nodes, np.array([0]), np.array([OUTPUTS.index("median")]), np.zeros(len(OUTPUTS)))


# --- Tsafrir's predictor ---------------------------------------------------------------------------------------


def test_the_mean_of_the_last_two_that_ended():
    jobs = table(
        submit=[0.0, 10.0, 20.0, 100.0, 300.0, 1000.0],
        start=[0.0, 10.0, 20.0, 100.0, 300.0, 1000.0],
        run_time=[500.0, 30.0, 50.0, 80.0, 10.0, 10.0],  # the first ends after the next three
        requested_time=[900.0, 900.0, 900.0, 35.0, 900.0, NAN],
        processors=[1] * 6,
        user=["ada", "ada", "ada", "ada", "ada", "bob"],
    )
    predicted = recorded_predictions(jobs, NO_TREES)
    # nobody has ended; nobody; one is not enough; (30 + 50) / 2 but no more than asked for; (50 + 80) / 2; no history
    assert predicted[:, 0].tolist() == [900.0, 900.0, 900.0, 35.0, 65.0, 3600.0]
    assert predicted[4].tolist() == [65.0, 65.0, 65.0, 65.0, 1 / 65]


def test_a_waiting_jobs_prediction_follows_the_history():
    """Long to the eye at first, job 3 is known to be short once two of its user's jobs have ended."""
    jobs = table(
        submit=[0.0, 0.0, 1.0, 2.0],
        run_time=[10.0, 20.0, 30.0, 5.0],
        requested_time=[100.0, 100.0, 60.0, 100.0],
        processors=[1, 1, 2, 2],
        user=["ada", "ada", "bob", "ada"],
    )
    policy = Policy(ordering="sjf-predicted", predictor="tsafrir", backfill="none")
    assert starts(jobs, TWO, policy) == [0.0, 0.0, 25.0, 20.0]  # (10 + 20) / 2 = 15 goes before 60
    assert starts(jobs, TWO, policy.model_copy(update={"predictor": "none", "ordering": "sjf"}))[2:] == [20.0, 50.0]


def test_what_ended_before_the_first_submission_is_known():
    past = table(
        submit=[0.0, 1.0, 2.0],
        start=[5.0, NAN, 2.0],
        run_time=[40.0, 20.0, 999.0],  # ends at 45, 21 and 1001
        requested_time=[100.0] * 3,
        processors=[1] * 3,
        user=["ada"] * 3,
    )
    jobs = table(
        submit=[50.0, 50.0], run_time=[9.0, 8.0], requested_time=[90.0, 35.0], processors=[1, 1], user=["ada", "bob"]
    )
    policy = Policy(ordering="sjf-predicted", predictor="tsafrir")
    assert starts(jobs, ONE, policy) == [58.0, 50.0]
    assert starts(jobs, ONE, policy, past=past) == [50.0, 59.0]  # (20 + 40) / 2 = 30 < 35
    late = past.assign(submit=past["submit"] + 30)  # the second ends at 51
    late["start"] += 30
    assert starts(jobs, ONE, policy, past=late) == [58.0, 50.0]
    assert starts(jobs, ONE, policy.model_copy(update={"ordering": "sjf"}), past=past) == [58.0, 50.0]


# --- overruns --------------------------------------------------------------------------------------------------


def running_state(requested: float) -> State:
    """A job predicted to run 100 s, started at 0."""
    past = table(
        submit=[-500.0, -400.0],
        start=[-500.0, -400.0],
        run_time=[100.0, 100.0],
        requested_time=[200.0, 200.0],
        processors=[1, 1],
        user=["ada", "ada"],
    )
    jobs = table(submit=[0.0], run_time=[1e9], requested_time=[requested], processors=[1], user=["ada"])
    policy = Policy(ordering="fcfs", predictor="tsafrir", estimate="predicted")
    state = make_state(jobs, ONE, policy, past=past)
    assert on_event(state, SUBMITTED, 0, 0.0, True) == 1
    assert state.jobs["estimate"][0] == 100.0
    return state


def believed(state: State, now: float) -> float:
    correct_overruns(state, now)
    assert state.running["end"][0] == state.jobs["estimate"][0]
    return float(state.jobs["estimate"][0])


def test_an_overrun_prediction_grows_by_steps():
    minute, hour = 60.0, 3600.0
    assert STEPS.tolist() == [
        *(m * minute for m in (1, 5, 15, 30)),
        *(h * hour for h in (1, 2, 5, 10, 20, 50, 100)),
    ]
    state = running_state(NAN)
    assert believed(state, 99.0) == 100.0
    for step in (*STEPS, 200 * hour, 300 * hour):
        overrun = state.jobs["estimate"][0]
        assert believed(state, overrun) == 100.0 + step
    state = running_state(NAN)
    assert believed(state, 100.0 + 3 * hour) == 100.0 + 5 * hour  # looked at late it is the same


def test_a_correction_stops_at_the_requested_time():
    state = running_state(130.0)
    assert believed(state, 100.0) == 130.0
    assert believed(state, 5000.0) == 130.0
    on_event(state, ENDED, 0, 6000.0, True)
    assert state.scalars["running"][0] == 0


# --- causality -------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), row=st.integers(0, 59), run=st.integers(0, 2000))
@settings(max_examples=40, deadline=None)
def test_a_later_end_changes_no_earlier_prediction(seed: int, row: int, run: int) -> None:
    jobs = random_jobs(np.random.default_rng(seed), 60, 16)
    jobs["start"] = jobs["submit"] + np.random.default_rng(seed).integers(0, 50, 60)
    changed = jobs.copy()
    changed.loc[row, "run_time"] = float(run)
    known = jobs["start"][row] + min(jobs["run_time"][row], float(run))
    before = (jobs["submit"] < known).to_numpy()
    for model in (NO_TREES, stump()):
        a, b = recorded_predictions(jobs, model), recorded_predictions(changed, model)
        assert np.array_equal(a[before], b[before])
    a, b = recorded_features(jobs), recorded_features(changed)
    before = np.concatenate((before, (jobs["start"] < known).to_numpy()))
    assert np.array_equal(a[before], b[before], equal_nan=True)


@given(seed=st.integers(0, 2**32 - 1), row=st.integers(0, 59), longer=st.integers(1, 2000), model=st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_replay_knows_of_no_end_to_come(
    tmp_path_factory: pytest.TempPathFactory, seed: int, row: int, longer: int, model: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "stump.npz"
    save_model(stump(), path)
    policy = Policy(ordering="cmu-predicted", predictor=str(path) if model else "tsafrir", estimate="predicted")
    jobs = random_jobs(np.random.default_rng(seed), 60, 16)
    jobs["requested_time"] = jobs["requested_time"].fillna(100.0)
    first = replay(jobs, Machine.by_processors(16), policy).table
    changed = jobs.copy()
    changed.loc[row, "run_time"] += longer
    second = replay(changed, Machine.by_processors(16), policy).table
    before = first["start"] < first["end"][row]
    assert first["start"][before].equals(second["start"][before])


# --- files -----------------------------------------------------------------------------------------------------


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_a_model_comes_back_from_its_file(tmp_path):
    save_model(stump(), tmp_path / "m.npz")
    model = load_model(tmp_path / "m.npz")
    assert np.array_equal(model.nodes, stump().nodes)
    assert np.array_equal(model.roots, stump().roots)
    jobs = table(
        submit=[0.0, 1.0],
        run_time=[1.0, 1.0],
        requested_time=[1e9, 60.0],
        processors=[1, 16],
        user=["ada", "bob"],
    )
    assert recorded_predictions(jobs, model)[:, 0].tolist() == [pytest.approx(math.exp(5)), 60.0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": np.array("hpcai run-time predictor 0")}, f"expected schema '{SCHEMA}', found"),
        ({"schema": None}, "found 'nothing'"),
        ({"features": np.array(FEATURES[1:])}, "its features are not those of this version"),
        ({"outputs": np.array(["median"])}, "its outputs are not"),
        ({"roots": None}, "damaged"),
        ({"roots": np.array([7])}, "a root is out of range"),
        ({"output": np.array([9])}, "a output is out of range"),
        ({"node_feature": np.array([99, 0, 0])}, "a feature is out of range"),
        ({"node_left": np.array([0, -1, -1])}, "point outside"),  # a walk that would never end
        ({"node_right": np.array([3, -1, -1])}, "point outside"),
        ({"baseline": np.zeros(2)}, "wrong"),
        ({"roots": np.array([0], dtype=object)}, "plain arrays"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, change, problem):
    save_model(stump(), tmp_path / "good.npz")
    arrays = {k: v for k, v in (arrays_of(tmp_path / "good.npz") | change).items() if v is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=problem) as raised:
        make_prediction(table(submit=[0.0]), Policy(predictor=str(tmp_path / "bad.npz")), None)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "bad.npz") in str(raised.value)


@pytest.mark.parametrize("content", [pickle.dumps(stump().roots.tolist()), b"", b"PK\x03\x04 not a zip"])
def test_anything_but_arrays_is_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"not a predictor's \.npz file"):
        load_model(tmp_path / "bad.npz")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_model(tmp_path / "none.npz")


def test_an_array_is_not_a_model(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a predictor's"):
        load_model(tmp_path / "a.npy")


def test_predictions_of_jobs_that_never_ran_are_unknown():
    jobs = table(submit=[0.0, 1.0], run_time=[NAN, 5.0], requested_time=[9.0, 9.0], processors=[1, 1])
    assert pd.isna(recorded_predictions(jobs, NO_TREES)[:, 0]).tolist() == [True, False]
