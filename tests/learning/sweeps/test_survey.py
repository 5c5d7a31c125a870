"""What a survey says of studies whose truth is known."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from hpcai.learning.sweeps.config import make_config
from hpcai.learning.sweeps.next_steps import advise
from hpcai.learning.sweeps.survey import Survey
from tests.learning.sweeps.studies import planted, survey


def test_the_parameter_that_matters_is_found_by_both_methods():
    found = survey(lambda p: (p["x"] - 0.5) ** 2 + 1e-6 * p["y"])
    shares = found.importances(0)
    assert set(shares) == {"fANOVA", "PED-ANOVA"}
    assert all(own["x"] > 0.8 for own in shares.values())
    assert found.leading[0] == "x"


@pytest.mark.parametrize(
    ("value", "count", "why"),
    [
        (lambda p: p["x"], 5, "5 complete trials are too few, it takes 10"),
        (lambda p: 1.0, 30, "all trials reach the same"),
    ],
)
def test_importance_is_not_made_up(value, count, why):
    found = survey(value, count=count)
    assert found.importances(0) == {}
    assert found.no_importance() == why


def test_counts_and_times():
    found = survey(lambda p: "pruned" if p["x"] > 0.8 else "out of memory" if p["x"] > 0.6 else p["x"], count=100)
    assert len(found.complete) + len(found.pruned) + len(found.failed) == found.tried == 100
    assert found.errors[0][0] == "out of memory"
    assert len(found.errors[0][1]) == len(found.failed)
    assert found.seconds.mean().to_dict() == pytest.approx({"suggest": 0.1, "objective": 1.0, "storage": 0.2})


def test_a_surplus_trial_counts_nowhere():
    study, config = planted(lambda p: p["x"], count=3)
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"surplus": True}))
    study.add_trial(create_trial(state=TrialState.FAIL))
    found = Survey(study, config, None)
    assert (found.tried, len(found.failed), len(found.lost)) == (3, 0, 1)


def evaluated(values, rival, order=None):
    """A study of one replayed trial with these values by window."""
    config = make_config(
        {
            "name": "e",
            "evaluate": {"trace": "lublin-256.swf.gz", "policies": ["expr:{a}*size"], "windows": "8x64"},
            "space": {"a": {"low": 0, "high": 1}},
        }
    )
    study = optuna.create_study()
    study.set_user_attr("rivals", {"SAF with EASY": {"mean_bounded_slowdown": list(rival)}})
    study.set_user_attr("order", list(range(len(values))) if order is None else order)
    study.add_trial(
        create_trial(
            value=float(np.mean(values)),
            params={"a": 0.5},
            distributions={"a": config.space["a"].distribution},
            user_attrs={"steps": {"mean_bounded_slowdown": list(values)}},
        )
    )
    return Survey(study, config, None)


def test_the_ratio_to_the_rival_is_paired():
    rival = np.array([10.0, 100.0, 3.0, 50.0, 20.0, 7.0, 80.0, 30.0])
    found = evaluated(0.5 * rival, rival)
    ratio = found.to_baseline(found.best)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    mean = found.mean(found.best)
    assert mean.value == pytest.approx(18.75)
    assert mean.low < mean.value < mean.high


def test_windows_are_put_back_into_the_order_of_time():
    rival = np.array([10.0, 100.0, 3.0, 50.0])
    straight, shuffled = (
        evaluated(rival * 2, rival),
        evaluated((rival * 2)[[2, 0, 3, 1]], rival[[2, 0, 3, 1]], [2, 0, 3, 1]),
    )
    assert straight.mean(straight.best) == shuffled.mean(shuffled.best)


def test_the_correlation_of_validation_and_test():
    rows = [{"trial": i, "validation": v, "test": t} for i, (v, t) in enumerate([(1, 3), (2, 4), (3, 5), (4, 6)])]
    assert survey(lambda p: p["x"], proof={"compared": rows}).compared.correlation == pytest.approx(1)
    assert survey(lambda p: p["x"], proof={"compared": rows[:2]}).compared is None


def advice(value, **fields):
    return " | ".join(f"{one.what}: {one.why}" for one in advise(survey(value, **fields)))


def test_an_optimum_at_the_edge_asks_for_a_wider_range():
    said = advice(lambda p: p["x"] + 0.001 * np.log10(p["y"]) ** 2)
    assert "widen x downwards, to −0.5" in said or "widen x downwards, to -0.5" in said
    assert "widen y" not in said


def test_a_logarithmic_range_is_widened_tenfold():
    assert "widen y upwards, to 100" in advice(lambda p: -np.log10(p["y"]), count=200)


def test_an_optimum_inside_asks_for_a_narrower_range_and_the_rest_is_fixed():
    said = advice(lambda p: abs(p["x"] - 0.5), count=200)
    assert "narrow x to 0." in said
    assert "fix y at" in said
    assert "fix k at" in said
    assert "widen" not in said


def test_failures_in_a_region_are_left_out():
    assert "leave out x above 0.6" in advice(lambda p: "out of memory" if p["x"] > 0.7 else p["x"], count=100)


def test_few_trials_say_nothing():
    assert advice(lambda p: p["x"], count=4).startswith("make more trials: 4 complete ones say too little")


def test_a_test_that_validation_does_not_foretell():
    rows = [{"trial": i, "validation": v, "test": t} for i, (v, t) in enumerate([(1, 3), (2, 1), (3, 5), (4, 2)])]
    assert "judge on more or longer windows" in advice(lambda p: p["x"], proof={"compared": rows})


def test_a_search_that_still_gets_better_should_go_on():
    counted = iter(range(60, 0, -1))
    assert "go on: 120 trials in all" in advice(lambda p: float(next(counted)))
    counted = iter(range(60))
    assert "search another space" in advice(lambda p: float(next(counted)))


def test_trials_with_steps_can_be_pruned():
    study, config = planted(lambda p: p["x"], count=0)
    for i in range(20):
        study.add_trial(
            create_trial(
                value=float(i),
                params={"x": i / 20, "y": 1.0, "k": "a"},
                distributions={name: parameter.distribution for name, parameter in config.space.items()},
                intermediate_values=dict.fromkeys(range(6), float(i)),
            )
        )
    said = [one.what for one in advise(Survey(study, config, None))]
    assert "set pruner: median" in said
