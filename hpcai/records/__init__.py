"""What was recorded, as canonical pandas tables."""
