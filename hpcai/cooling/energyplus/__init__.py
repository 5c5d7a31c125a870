"""EnergyPlus in a process of its own, stepped from outside, and the two-zone data centre that it simulates."""
