"""From a replay to the power of the site: machines over time, what cools them, what that costs."""
