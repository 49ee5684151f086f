"""Tables that come with probe, for families of models: `--map nanogpt`. Each is a TOML file in probe/align/tables."""

from pathlib import Path

from probe.errors import ProbeError

FOLDER = Path(__file__).parent.parent / "tables"


def shipped_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def shipped_table(path: Path) -> Path | None:
    """The shipped table that a bare name means; None for a path. ProbeError names those that exist."""
    name = str(path)
    if len(path.parts) != 1 or path.suffix or path.exists():
        return None
    if name in shipped_names():
        return FOLDER / f"{name}.toml"
    raise ProbeError(
        f"there is no table {name!r}: those that come with probe are {', '.join(shipped_names())}",
        hint="a table of your own is named with its suffix: --map FILE.toml",
    )
