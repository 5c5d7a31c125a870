"""The fast plant in time: stepped from outside, or whole rollouts in machine code, and its fit to another plant."""

from hpcai.simulation.cooling.fast import FastPlant

__all__ = ["FastPlant"]
