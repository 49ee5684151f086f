"""What several commands take on their command line."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def file(text: str) -> "Path":
    """An argument's type. pathlib is imported once a file is named, so that --help starts quickly."""
    from pathlib import Path

    return Path(text)
