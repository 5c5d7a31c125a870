"""Placements by a policy that has learned on other graphs, alone and together with a search."""
