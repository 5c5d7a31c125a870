"""The two clocks: the compiled event loop and the SimPy simulation."""

from hpcai.simulation.replay import Engine, Schedule, replay

__all__ = ["Engine", "Schedule", "replay"]
