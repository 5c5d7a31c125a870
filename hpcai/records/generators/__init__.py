"""Generators of synthetic traces: models with few parameters, seeded, scalable to any load."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hpcai.cluster.spec import Machine
from hpcai.errors import InputError
from hpcai.records.schema import Trace

KINDS: Final = {
    "lublin": "batch and interactive jobs of a parallel computer (Lublin & Feitelson 2003)",
    "deep-learning": "training jobs of a GPU cluster, with tenants, cycles, heavy tails and failures",
    "reference-site": "days of the reference site: gangs, elastic jobs, arrays, services, grand challenges, tenants",
}


def generate(
    kind: str,
    jobs: int,
    *,
    seed: int = 0,
    load: float | None = None,
    machine: Machine | None = None,
    parameters: Path | str | None = None,
) -> Trace:
    """Return a synthetic trace of ``jobs`` jobs.

    Args:
        kind: one of :data:`KINDS`.
        jobs: how many.
        seed: the same seed gives the same trace.
        load: offered load on the machine, reached by scaling the time between arrivals (reference-site, which has
            so many jobs a day: the run times); by default as the parameters have it.
        machine: no job is larger than it; needed for ``load`` where the model has no machine of its own.
        parameters: a YAML file of the model's parameters.

    Raises:
        InputError: an argument cannot be used.
    """
    if jobs < 1:
        raise InputError(f"jobs {jobs}: expected at least 1")
    if load is not None and not 0 < load <= 100:
        raise InputError(f"load {load}: expected a number above 0, such as 0.8")
    if kind == "lublin":
        import hpcai.records.generators.lublin as lublin

        model = lublin.Parameters() if parameters is None else lublin.Parameters.load(parameters)
        return lublin.generate(model, jobs, seed=seed, load=load, machine=machine)
    if kind == "deep-learning":
        import hpcai.records.generators.deep_learning as deep_learning

        mix = deep_learning.Parameters() if parameters is None else deep_learning.Parameters.load(parameters)
        return deep_learning.generate(mix, jobs, seed=seed, load=load, machine=machine)
    if kind == "reference-site":
        import hpcai.records.generators.reference_site as reference_site

        site = reference_site.Parameters() if parameters is None else reference_site.Parameters.load(parameters)
        return reference_site.generate(site, jobs, seed=seed, load=load, machine=machine)
    raise InputError(f"generator {kind!r}: expected one of {', '.join(KINDS)}")
