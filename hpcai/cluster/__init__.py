"""The machine, without a clock: its specification and presets."""

from hpcai.cluster.spec import (
    Machine,
    Network,
    NodeGroup,
    Partition,
    Reservation,
    load_machine,
    preset_names,
)

__all__ = ["Machine", "Network", "NodeGroup", "Partition", "Reservation", "load_machine", "preset_names"]
