"""The operators of one model on several devices: graphs, costs, the time of a step, and placements."""
