"""Errors that the user can mend: their message is one sentence that says what to give instead."""


class InputError(ValueError):
    """Something given on a command line, in a config or to a function of `mmseg.apis` cannot be used."""


class ConfigError(InputError):
    """A config that is missing or cannot be read."""


class CheckpointError(InputError):
    """A checkpoint that cannot be fetched or read, or does not fit."""
