"""Learned cooling: agents on a plant, agents from logs alone, and the best settings of simple controllers."""
