"""Readers of failure logs, one format a file: ``matches(head)`` and ``read(path, **options) -> FailureLog``."""
