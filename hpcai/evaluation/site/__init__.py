"""A whole site simulated, and two of them compared: what each costs in energy, carbon, waiting and lost work."""
