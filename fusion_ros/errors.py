"""Errors that carry a message for the person who runs the program, not for its developer."""

from __future__ import annotations


class InputError(ValueError):
    """What was given cannot be used.

    The message names the thing, the value found and the way out. `fusion-ros` prints it as one line and exits
    with code 2; a node refuses the parameter or drops the message and lives on.
    """


class JobError(RuntimeError):
    """The input was fine but the job could not be done. `fusion-ros` prints it as one line and exits with code 1."""
