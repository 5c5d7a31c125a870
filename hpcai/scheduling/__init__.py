"""Which job next: orderings, backfilling and the scheduling pass, as functions on arrays."""
