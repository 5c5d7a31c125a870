"""``hpcai bundle``: what a bundle says of itself, and whether it is what was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpcai.live.bundle import Bundle

bundle_app = typer.Typer(no_args_is_help=True, help="Look at exported policies.")

Path = Annotated[str, typer.Argument(metavar="BUNDLE", help="A folder or .tar that hpcai export wrote.")]


@bundle_app.command("inspect")
def inspect_command(
    path: Path,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as it is.")] = False,
) -> None:
    """Print what a bundle says of itself."""
    from hpcai.live.bundle import read_bundle

    bundle = read_bundle(path)
    if json:
        print(bundle.manifest.model_dump_json(indent=2))
    else:
        print_bundle(bundle)


@bundle_app.command("verify")
def verify_command(
    path: Path,
    digest: Annotated[str | None, typer.Option(help="What its digest has to be.")] = None,
) -> None:
    """Check that a bundle is whole, unchanged, of this schema, and can be run here; print its digest."""
    from hpcai.live.bundle import read_bundle
    from hpcai.live.cluster.placement import PlacementPolicy
    from hpcai.live.cluster.preemption import PreemptionPolicy
    from hpcai.live.cooling.policy import CoolingPolicy
    from hpcai.live.faults.advisor import Advisor
    from hpcai.live.faults.drainer import Drainer
    from hpcai.live.ranking import BundleRanker, make_session

    served = {
        "scheduling": BundleRanker, "placement": PlacementPolicy, "preemption": PreemptionPolicy,
        "cooling": CoolingPolicy, "checkpointing": Advisor, "detection": Drainer, "draining": Drainer,
    }  # fmt: skip
    bundle = read_bundle(path, digest)
    served.get(bundle.manifest.domain, make_session)(bundle)
    print(f"{bundle.digest}  {path}")


def print_bundle(bundle: Bundle) -> None:
    """Print a bundle in a screen of text."""
    manifest = bundle.manifest
    kind = "rules" if manifest.kind == "rules" else f"a {manifest.kind}"
    print(f"{bundle.where}: {manifest.name}, {kind} of the domain {manifest.domain}")
    print(f"digest    {bundle.digest}")
    print(f"written   {manifest.created} by hpcai {manifest.hpcai}, opset {manifest.opset}")
    if manifest.kind == "rules":
        given = {name: value for name, value in manifest.policy.items() if value is not None}
        print(f"rule      {', '.join(f'{name} {value}' for name, value in given.items())}")
    for source in manifest.training:
        jobs = "" if source.jobs is None else f", {source.jobs:,} jobs"
        print(f"learned   {source.name}, {source.part} part{jobs}")
    for metric in manifest.metrics:
        print(
            f"measured  {metric.trace}, {metric.part}, {metric.windows}: {metric.metric.replace('_', ' ')} "
            f"{metric.value:.3g}, {metric.told} of {metric.rival}"
        )
    if manifest.search:
        print(f"learned   {manifest.search.training}")
        print(
            f"measured  {manifest.search.objective.replace('_', ' ')} {manifest.search.ratio:.3g} of "
            f"{manifest.search.rival}, {manifest.search.validation}"
        )
    for name, bounds in manifest.validity.items():
        print(f"valid     {name.replace('_', ' ')} {bounds.least:,.6g} to {bounds.most:,.6g} {bounds.unit}")
    for tensor in manifest.inputs:
        print(f"reads     {tensor.name} {list(tensor.shape)}: {', '.join(feature.name for feature in tensor.features)}")
    for name, value in manifest.checked.items():
        print(f"checked   {name.replace('_', ' ')}: {value}")
    print(f"fallback  {manifest.fallback}")
