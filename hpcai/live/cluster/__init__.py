"""Policies of a GPU cluster as bundles: which node suits a pod, and whom to stop for it."""
