"""The errors that hpcai raises for its users."""


class HpcaiError(Exception):
    """Base of all errors that hpcai raises on purpose; the command line prints it as one line."""


class InputError(HpcaiError):
    """What the user gave cannot be used; the message says what, where and what was expected (exit code 2)."""


class FormatError(InputError):
    """A file is not of the format that it was said, or guessed, to be."""


class BadRowsError(InputError):
    """A file has rows that cannot be read and the reader was told to be strict."""


class WorkerError(HpcaiError):
    """A task failed on its worker; the message says why and where the worker's log lies."""


class PlantError(HpcaiError):
    """A plant that cools, or the program that simulates it, broke down; the message says how."""
