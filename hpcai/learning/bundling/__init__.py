"""From what was learned to a bundle that a live scheduler follows."""
