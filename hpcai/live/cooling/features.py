"""What a learned controller reads and gives, as tensors of a manifest: names, units, scaling."""

from __future__ import annotations

from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.interface import SETPOINT_INDEX, SETPOINTS
from hpcai.cooling.observation import OBSERVED, Scaling
from hpcai.live.manifest import Feature, Tensor


def observation_tensor(design_power: float) -> Tensor:
    """Return the input of a network: OBSERVED, scaled for a site whose machines have ``design_power`` (W)."""
    scaling = Scaling(design_power)
    features = tuple(
        Feature(
            name=point.name,
            meaning=point.meaning,
            unit=point.unit,
            scaling=f"(x - {middle:.8g}) / {half:.8g}, cut off at -3 and 3",
        )
        for point, middle, half in zip(OBSERVED, scaling.middle.tolist(), scaling.half.tolist(), strict=True)
    )
    return Tensor(name="observation", dtype="float32", shape=("feature",), features=features, meaning="scaled")


def action_tensor(scheme: Scheme) -> Tensor:
    """Return the output of a network: its actions, -1..1, with what they stand for."""
    actions = Actions(scheme)
    features = tuple(
        Feature(
            name=name,
            meaning=SETPOINTS[SETPOINT_INDEX[name]].meaning,
            unit=SETPOINTS[SETPOINT_INDEX[name]].unit,
            scaling=f"-1..1 stands for {low:g}..{high:g}",
            least=low,
            most=high,
        )
        for name, low, high in zip(actions.names, actions.low.tolist(), actions.high.tolist(), strict=True)
    )
    return Tensor(name="action", dtype="float32", shape=("feature",), features=features, meaning="-1..1")
