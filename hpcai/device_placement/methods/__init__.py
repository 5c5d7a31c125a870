"""Methods that place operators: rules, partitioning, list scheduling, search, and a network that has learned to."""
