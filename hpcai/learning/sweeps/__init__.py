"""Surveys of parameters: a search space, an objective, many workers on one storage, a report."""
