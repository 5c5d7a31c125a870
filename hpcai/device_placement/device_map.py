"""From a placement of operators to a device for each module, as accelerate's ``dispatch_model`` takes it.

A module runs all its own operators on one device: where a placement has them on several, that with most of their time.
A map names a module only if it differs from the module around it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from hpcai.device_placement.devices import Devices
from hpcai.device_placement.graph import Floats, Ints

_OPERATION: Final = re.compile(r"[A-Z]\w*$")  # the last part of a name in ONNX, such as Conv or Relu_1
HOST: Final = "CPU"


class DeviceMap(NamedTuple):
    """The map, and how far it keeps to the placement."""

    devices: dict[str, int | str]  # by path of a module: number of a GPU, or "cpu"
    agrees: float  # part of the time of all operators whose module is where they were placed


def module_path(operator: str) -> str:
    """Return the path of an operator's module from its name, such as layer1.0.conv1 of /layer1/layer1.0/conv1/Conv.

    Parts are separated by slashes, or by dots; a part that repeats the path so far, as ONNX exported from PyTorch has
    it, goes on from there; a last part with a capital is the operation.
    """
    parts = [part for part in operator.split("/") if part]
    if len(parts) > 1 and _OPERATION.match(parts[-1]):
        parts.pop()
    path = ""
    for part in parts:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path


def device_map(paths: Sequence[str | None], seconds: Floats, placement: Ints, devices: Devices) -> DeviceMap:
    """Return the map of a placement (n,) of operators in modules of ``paths`` (n,), which take ``seconds`` (n,).

    The model itself has the path "". An operator without a path, such as an input, is in no module.
    """
    inside = [(path, own, int(at)) for path, own, at in zip(paths, seconds, placement, strict=True) if path is not None]
    shares: dict[str, Floats] = defaultdict(lambda: np.zeros(len(devices)))
    for path, own, device in inside:
        shares[path][device] += own + 1e-12  # so that those that take no time have a device too
    chosen = {path: int(share.argmax()) for path, share in shares.items()}
    total = sum(own for _, own, _ in inside)
    agrees = sum(own for path, own, device in inside if chosen[path] == device)
    names = _names(devices)
    collapsed = {path: names[device] for path, device in _collapsed(chosen).items()}
    return DeviceMap(collapsed, float(agrees / total) if total > 0 else 1.0)


def _names(devices: Devices) -> list[int | str]:
    gpus = iter(range(len(devices)))
    return ["cpu" if kind == HOST else next(gpus) for kind in devices.kinds]


def _collapsed(chosen: dict[str, int]) -> dict[str, int]:
    """Return the map without what the modules around say already; a module all of one device stands for its parts."""
    below: dict[str, set[int]] = defaultdict(set)
    for path, device in chosen.items():
        for around in _around(path):
            below[around].add(device)
    found: dict[str, int] = {}
    for path in sorted(below, key=lambda path: (bool(path), path.count("."), path)):
        if path not in chosen and len(below[path]) > 1:
            continue
        device = chosen.get(path, min(below[path]))
        inherited = next((found[around] for around in reversed(_around(path)[:-1]) if around in found), None)
        if device != inherited:
            found[path] = device
    return found


def _around(path: str) -> list[str]:
    """Return the paths of the modules around a module, from the model on, and its own."""
    parts = path.split(".") if path else []
    return [".".join(parts[:i]) for i in range(len(parts) + 1)]
