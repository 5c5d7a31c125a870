"""hpcai: replay recorded logs of a GPU cluster, compare and learn policies, prove them, export them."""

__version__ = "0.1.0"
