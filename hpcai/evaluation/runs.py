"""The result of a training run as a policy: ``run:FOLDER`` in a list of policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError
from hpcai.scheduling.policy import Policy

PREFIX: Final = "run:"
POLICY_FILE: Final = "policy.yaml"
"""The file of a run folder that holds its result as a Policy."""
NETWORK_FILE: Final = "network.npz"
PREDICTOR_FILE: Final = "predictor.npz"
"""Files that the policy names, if it has a network or a trained predictor."""


def policy_of_run(item: str) -> dict[str, Any]:
    """Return what the policy in a run folder sets, for ``run:FOLDER``.

    Raises InputError if there is no such folder, or no policy in it yet.
    """
    folder = Path(item.removeprefix(PREFIX))
    if not folder.is_dir():
        raise InputError(f"{item}: no such folder")
    path = folder / POLICY_FILE
    if not path.is_file():
        raise InputError(f"{item}: expected {POLICY_FILE} in the folder of a training run, found none")
    policy = validated(Policy, read_mapping(path), str(path)).model_dump(exclude_unset=True)
    for key, name in (("network", NETWORK_FILE), ("predictor", PREDICTOR_FILE)):
        if policy.get(key) == name:  # lies in the folder, wherever that has been moved to
            policy[key] = str(folder / name)
    return policy
