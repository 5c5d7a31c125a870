"""Faults in time: replays of a job under a checkpoint policy in machine code, and faults of a whole cluster."""
