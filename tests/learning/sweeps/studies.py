"""Studies with a planted truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from hpcai.learning.sweeps.config import SweepConfig, make_config
from hpcai.learning.sweeps.proof import Proof
from hpcai.learning.sweeps.survey import Survey

SPACE = {"x": {"low": 0, "high": 1}, "y": {"low": 0.001, "high": 10, "log": True}, "k": {"choices": ["a", "b"]}}


def planted(
    value: Callable[[dict[str, Any]], Any], count: int = 60, attributes: Mapping[str, Any] | None = None, **fields: Any
) -> tuple[optuna.Study, SweepConfig]:
    """A study of random points; ``value`` gives number(s), 'pruned', or a message with which a trial failed."""
    config = make_config({"name": "planted", "function": "f", "space": SPACE} | fields)
    study = optuna.create_study(directions=[target.direction for target in config.targets])
    for key, attribute in (attributes or {}).items():
        study.set_user_attr(key, attribute)
    rng = np.random.default_rng(0)
    distributions = {name: parameter.distribution for name, parameter in config.space.items()}
    for _ in range(count):
        point = {"x": rng.uniform(), "y": float(10 ** rng.uniform(-3, 1)), "k": str(rng.choice(["a", "b"]))}
        found, user = value(point), {"worker": "host:1", "seconds": {"suggest": 0.1, "objective": 1.0, "storage": 0.2}}
        if found == "pruned":
            state = {"state": TrialState.PRUNED, "intermediate_values": {0: 1.0}}
        elif isinstance(found, str):
            state, user = {"state": TrialState.FAIL}, user | {"error": found}
        else:
            values = list(found) if isinstance(found, tuple) else [found]
            state = {"values": values, "intermediate_values": {} if len(values) > 1 else dict.fromkeys(range(4), found)}
        study.add_trial(create_trial(params=point, distributions=distributions, user_attrs=user, **state))
    return study, config


def survey(value: Callable[[dict[str, Any]], Any], proof: Proof | None = None, **fields: Any) -> Survey:
    return Survey(*planted(value, **fields), proof)
