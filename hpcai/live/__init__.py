"""Policies on live schedulers: bundles, and the adapters to Slurm and Kubernetes. Needs neither torch nor a learner."""
