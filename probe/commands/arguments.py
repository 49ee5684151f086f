"""What several commands take on their command line."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


_BACKWARDS = re.compile(r"-\d+:(-?\d+)?")


def joined(words: Sequence[str]) -> list[str]:
    """`--tokens-slice -8:` as `--tokens-slice=-8:`: argparse takes it for an option, as it is no number."""
    found: list[str] = []
    for word in words:
        if found and found[-1].startswith("--") and _BACKWARDS.fullmatch(word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def file(text: str) -> "Path":
    """An argument's type. pathlib is imported once a file is named, so that --help starts quickly."""
    from pathlib import Path

    return Path(text)
