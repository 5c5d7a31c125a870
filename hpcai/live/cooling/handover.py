"""Who is in control: taking the plant over, and handing it back whatever happens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hpcai.live.cooling.modbus import Connection, RefusedError
from hpcai.live.cooling.points import PointMap


class Handover:
    """Writes setpoints and flags; ``owed`` until the plant has got back what was taken from it.

    A mark on disk says so across a crash, so that the next start hands back first.
    """

    def __init__(self, points: PointMap, connection: Connection, mark: Path) -> None:
        """``mark`` is the file that is there while something is owed."""
        self._points, self._connection, self._mark = points, connection, mark
        self.in_control = False
        self.owed = mark.exists()
        self._beat = 0.0

    def beat(self) -> None:
        """Say to the plant that we are alive. Raises LostError, RefusedError."""
        if self._points.heartbeat is not None:
            self._beat = 1.0 - self._beat
            self._connection.write("heartbeat", self._points.heartbeat, self._beat)

    def steer(self, values: Mapping[str, float], found: Mapping[str, float]) -> dict[str, float]:
        """Write ``values``, and then the flag that we are in control, where otherwise stands in the registers.

        ``found`` is what stands there, setpoints and flags by name. Returns what was written. Raises LostError,
        RefusedError: the plant is owed its setpoints from now on.
        """
        if not self.in_control:
            self._mark.touch()
            self.in_control = self.owed = True
        written = {}
        for name, value in values.items():
            register = self._points.setpoints[name]
            if not register.same(value, found[name]):
                self._connection.write(name, register, value)
                written[name] = value
        release = self._points.release
        if release is not None and found["release"] != release.ours:
            self._connection.write("release", release, release.ours)
            written["release"] = release.ours
        return written

    def give_back(self) -> list[str]:
        """Write the plant's own: the flag first, then setpoints; return what it refused.

        Raises LostError: then it is still owed. So it is where something was refused.
        """
        self.in_control = False
        flag, refused = self._points.release, []
        writes = [] if flag is None else [("release", flag, flag.own)]
        own = [(name, point, point.own) for name, point in self._points.setpoints.items() if point.own is not None]
        for name, register, value in [*writes, *own]:
            try:
                self._connection.write(name, register, value)
            except RefusedError as error:
                refused.append(str(error))
        if not refused:
            self._mark.unlink(missing_ok=True)
            self.owed = False
        return refused
