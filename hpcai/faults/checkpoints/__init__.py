"""When to write checkpoints: costs, closed forms, policies."""
