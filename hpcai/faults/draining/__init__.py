"""Which nodes to keep away from jobs: their risk, and rules that act on it."""
