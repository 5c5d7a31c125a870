"""Detectors of failures that are about to come, learned from logs."""
