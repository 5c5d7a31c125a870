"""Who rules a site by what was learned: a network on what is seen of it, as plain arrays and evaluated by NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from hpcai.cooling.action import Actions, Scheme
from hpcai.cooling.controllers.learned import Layers, LayersMeta, check_layers, forward, packed_layers, read_layers
from hpcai.errors import InputError
from hpcai.simulation.site.action import Ruled, apply, names, parted
from hpcai.simulation.site.observation import seen, seen_names
from hpcai.simulation.site.setting import SiteSetting
from hpcai.simulation.site.site import Site

SCHEMA: Final = "hpcai site network 1"
RULER_FILE: Final = "policy.npz"
"""The network in the folder of a training."""


class RulerMeta(LayersMeta):
    """What a network is: its layers, what it rules, by which scheme it cools, and what it sees."""

    schema_name: Literal["hpcai site network 1"] = SCHEMA
    decides: tuple[Ruled, ...] = Field(min_length=1)
    actions: Scheme = "simple"
    observed: tuple[str, ...]


class Learned:
    """Rules the parts that it was taught, at each control step."""

    def __init__(self, meta: RulerMeta, weights: Layers) -> None:
        """Take a network."""
        self.meta, self.weights = meta, weights
        self._cooling = Actions(meta.actions)

    def ruling(self, setting: SiteSetting) -> SiteSetting:
        """Return a setting that it rules, which shifts no load if it decides on admission.

        Raises InputError if it was taught on a site with a plant and this one has none, or the other way round.
        """
        taught, found = ("a plant" if cooled else "no plant" for cooled in (self._cooled, setting.cooling is not None))
        if taught != found:
            raise InputError(f"agent: expected a site with {taught}, as it was taught on, found one with {found}")
        return replace(setting, ruler=self, shift=None if "admission" in self.meta.decides else setting.shift)

    @property
    def _cooled(self) -> bool:
        return self.meta.observed == seen_names(cooled=True)

    def rule(self, site: Site) -> None:
        """Say what the network says of what is seen."""
        numbers = forward(self.meta, self.weights, seen(site))
        apply(site, parted(numbers, self.meta.decides, self._cooling), self._cooling)

    def packed(self) -> bytes:
        """Return the network as the content of a file."""
        return packed_layers(self.meta, self.weights)


def read_ruler(folder: str | Path) -> Learned:
    """Return what a training left in its folder. Raises InputError if that is none, or made for other features."""
    path = Path(folder) / RULER_FILE
    if not path.is_file():
        raise InputError(f"agent {folder}: expected the folder of 'hpcai train site' with {RULER_FILE}")
    meta, weights = read_layers(path, RulerMeta, "site")
    if meta.observed not in (seen_names(cooled=True), seen_names(cooled=False)):
        raise InputError(f"{path}: expected a network for the features of this version, found one for others")
    check_layers(path, weights, len(meta.observed), len(names(meta.decides, Actions(meta.actions))))
    return Learned(meta, weights)
