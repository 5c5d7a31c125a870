"""Replays of policies, metrics, statistics and reports."""
