"""Agents and formulas that learn to schedule: networks, training, tuning, the folders of their runs."""
