"""What was learned as a policy: ``run:FOLDER`` and ``bundle:PATH`` in a list of policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hpcai.configuration import read_mapping, validated
from hpcai.errors import InputError
from hpcai.live.bundle import OF_POLICY, Bundle, read_bundle
from hpcai.scheduling.policy import Policy

PREFIX: Final = "run:"
BUNDLE_PREFIX: Final = "bundle:"
POLICY_FILE: Final = "policy.yaml"
"""The file of a run folder that holds its result as a Policy."""
NETWORK_FILE: Final = "network.npz"
PREDICTOR_FILE: Final = "predictor.npz"
"""Files that the policy names, if it has a network or a trained predictor."""


def learned_policy(item: str) -> dict[str, Any] | None:
    """Return what the policy sets that ``item`` stands for; None if that is not something learned."""
    if item.startswith(PREFIX):
        return policy_of_run(item)
    return policy_of_bundle(item) if item.startswith(BUNDLE_PREFIX) else None


def policy_of_bundle(item: str) -> dict[str, Any]:
    """Return what the policy in an exported bundle sets, for ``bundle:PATH``; ``PATH`` is a folder or .tar.

    Raises InputError if it is not a bundle of the domain scheduling, or has been changed.
    """
    path = Path(item.removeprefix(BUNDLE_PREFIX))
    bundle = read_bundle(path)
    if bundle.manifest.domain != "scheduling":
        raise InputError(f"{item}: expected the domain scheduling, found {bundle.manifest.domain}")
    policy = validated(Policy, bundle.manifest.policy, item)
    fields = policy.model_dump(exclude_unset=True)
    named = {"network": policy.network, "predictor": policy.predictor if policy.predictor_is_file else None}
    for key, name in named.items():
        if name is None:
            continue
        if name != OF_POLICY[key] or name not in bundle.files:
            raise InputError(f"{item}: expected its {key} to be {OF_POLICY[key]} in it, found {name}")
        fields[key] = str((path if path.is_dir() else _unpacked(bundle)) / name)
    return fields


_UNPACKED: Final[dict[str, Bundle]] = {}


def _unpacked(bundle: Bundle) -> Path:
    """Return a folder with the files of an archive that is there as long as this process."""
    return _UNPACKED.setdefault(bundle.digest, bundle).unpacked


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
