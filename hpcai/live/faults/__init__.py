"""Bundles that foretell failures, drain nodes, or say when to write checkpoints."""
