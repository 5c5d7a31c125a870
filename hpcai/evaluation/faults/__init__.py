"""Checkpoints, drains and clusters under faults, compared."""
