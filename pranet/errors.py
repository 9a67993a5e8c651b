"""The exceptions that a user of this project may meet."""


class PranetError(Exception):
    """Base of every error with a message meant for the user: what is wrong and what to do."""


class CheckpointError(PranetError):
    """A checkpoint is missing, damaged, hostile, or of a layout that is not known."""


class DataError(PranetError):
    """A data set on disk is not what it should be."""
