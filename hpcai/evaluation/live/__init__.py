"""What an adapter's decision log tells of a site: what happened, what the policy wanted, what it would have given."""
