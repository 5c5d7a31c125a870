"""Slurm: reading it into a live state, and writing an order of its queue."""
