"""Disciplines of a GPU cluster compared by replay: what is asked, what is measured, the report."""
