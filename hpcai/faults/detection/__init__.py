"""Which node will fail: features of its past, models of risk, when to take it away; which rank is slow."""
