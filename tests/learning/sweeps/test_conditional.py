"""What a survey and its report say where parameters exist only at times, objectives are maximised, texts are odd."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from hpcai.learning.sweeps.next_steps import advise
from hpcai.learning.sweeps.report import render
from hpcai.learning.sweeps.survey import Survey
from tests.learning.sweeps.studies import planted, survey

SPACE = {
    "kind": {"choices": ["plain", "<i>deep</i>"]},
    "rate": {"low": 0, "high": 1},
    "layers": {"low": 1, "high": 8, "type": "int", "when": {"kind": ["<i>deep</i>"]}, "otherwise": 0},
}


def conditional(value, count=80, **fields):
    """A study of random points, in half of which 'layers' exists."""
    study, config = planted(lambda _: 0.0, count=0, space=SPACE, **fields)
    rng = np.random.default_rng(1)
    for i in range(count):
        point = {"kind": ["plain", "<i>deep</i>"][i % 2], "rate": float(rng.uniform())}
        if point["kind"] != "plain":
            point["layers"] = int(rng.integers(1, 9))
        study.add_trial(
            create_trial(
                value=value(point),
                params=point,
                distributions={name: config.space[name].distribution for name in point},
                user_attrs={"worker": "host:1", "steps": {"value": [value(point)]}},
            )
        )
    return study, config


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_ped_anova_asks_what_makes_the_better_trials_whichever_way_is_better(direction):
    """x alone decides which trials are the best tenth, y which are the worst."""

    def value(p):
        return p["x"] if p["x"] > 0.85 else -np.log10(p["y"] * 1000) - 1

    sign = 1 if direction == "maximize" else -1
    objective = {"name": "value", "direction": direction}
    found = survey(lambda p: sign * value(p), count=300, objectives=[objective]).importances(0)["PED-ANOVA"]
    assert found["x"] > 0.8


def test_a_parameter_that_exists_at_times_has_an_importance_among_the_trials_that_have_it():
    found = Survey(*conditional(lambda p: p.get("layers", 4) + 0.01 * p["rate"], count=200), None)
    for shares in found.importances(0).values():
        assert shares["layers"] > 0.8
        assert set(shares) == {"kind", "rate", "layers"}
    assert "widen layers downwards" in " | ".join(one.what for one in advise(found))


def test_texts_are_shown_as_they_are_and_attributes_stay_out_of_the_figures():
    html = render(*conditional(lambda p: p.get("layers", 4) + p["rate"]), None)
    figures = html[html.index('id="figures"') : html.index("</script>", html.index('id="figures"'))]
    assert "deep" in figures
    assert "u003ci>deep" not in figures
    assert "user_attrs" not in figures


def test_failures_that_differ_in_numbers_only_are_one_kind():
    said = iter(range(1000))
    found = survey(lambda p: f"loss is {next(said)}.5e3 in step 3" if p["x"] > 0.5 else p["x"], count=60)
    assert len(found.errors) == 1
    assert found.errors[0][0] == "loss is 0.5e3 in step 3"
    assert len(found.errors[0][1]) == len(found.failed) > 20


def test_few_repeats_have_an_interval_by_students_t():
    study, config = planted(lambda p: p["x"], count=0, repeats=3)
    point = {"x": 0.5, "y": 1.0, "k": "a"}
    distributions = {name: config.space[name].distribution for name in point}
    steps = {"steps": {"value": [1.0, 2.0, 3.0]}}
    study.add_trial(create_trial(value=2.0, params=point, distributions=distributions, user_attrs=steps))
    found = Survey(study, config, None)
    mean = found.mean(found.best)
    assert (mean.low, mean.high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), rel=1e-4)


def test_pruning_saves_the_steps_that_were_not_run():
    study, config = planted(lambda p: p["x"], count=12)  # of four steps each
    point = {"x": 0.5, "y": 1.0, "k": "a"}
    study.add_trial(
        create_trial(
            state=TrialState.PRUNED,
            params=point,
            distributions={name: config.space[name].distribution for name in point},
            intermediate_values={0: 1.0},
            user_attrs={"seconds": {"suggest": 5.0, "objective": 2.0, "storage": 1.0}},
        )
    )
    assert Survey(study, config, None).saved_seconds == pytest.approx(2.0 * 3)


def test_a_long_study_keeps_its_best_and_its_numbers():
    found = survey(lambda p: p["x"], count=1500)
    drawn = [trial for trial in found.snapshot.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    assert len(drawn) == 500
    assert found.best.number in {trial.number for trial in drawn}
    assert found.snapshot.best_trial.number == found.best.number
