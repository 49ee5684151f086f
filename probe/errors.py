"""The one exception for what a user can fix."""


class ProbeError(Exception):
    """What is wrong and where, and in `hint` what to do next.

    The command line prints both and exits 2; it never shows a traceback for one.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class NotKept(ProbeError):
    """Values were asked for that a dump has not kept: it holds a sketch or statistics in their place."""
