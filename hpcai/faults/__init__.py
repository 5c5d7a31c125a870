"""Failures of a cluster: fitted models, checkpoints and drains, detection; without a clock."""
