"""Methods that place operators without having learned to: rules, partitioning, list scheduling, search."""
