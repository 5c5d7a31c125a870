"""Failure logs from the command line: what is in them, what fits, and a report."""
