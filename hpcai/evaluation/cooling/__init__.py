"""Cooling controllers compared: energy, cost, carbon, and how often the limits were broken."""
