"""How well failures are foretold, and what it is worth: curves, intervals, costs, the report."""
