"""Whose code may run: a dump's py: target only where this user recorded that dump on this machine.

A dump carries an HMAC of its target under a key that lies in the user's state directory. Somebody else's dump has
none that fits, so diffing it never imports a file that it names.
"""

import hashlib
import hmac
import json
import os
import secrets
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from probe.dump import Dump
from probe.errors import ProbeError
from probe.targets.target import RUNTIMES, Target


def sign(target: Target) -> dict[str, Any]:
    """The target as a dump keeps it, with the signature of this user on this machine."""
    described = {"kind": target.kind, "place": target.place, "arguments": dict(target.arguments)}
    return {**described, "signature": _signature(described, _key(create=True))}


def may_load(dump: Dump, named_again: Target | None) -> Target | None:
    """The reference's target, if it may be loaded: named again by the user, or recorded by this user, or no code.

    None where the dump has no target, or one that is no PyTorch model; ProbeError where it has one that this user has
    not vouched for.
    """
    if named_again is not None:
        return named_again
    described = dump.attribute("target")
    if not described:
        return None
    try:
        target = Target(str(described["kind"]), str(described["place"]), dict(described.get("arguments") or {}))
        signature = str(described.get("signature"))
    except (KeyError, TypeError, ValueError):
        raise ProbeError(f"{dump.path} is damaged: its target cannot be read", hint="record it again") from None
    if target.kind in RUNTIMES:
        return None
    if target.kind == "hf":
        return target
    key = _key(create=False)
    body = {"kind": target.kind, "place": target.place, "arguments": dict(target.arguments)}
    if key is None or not hmac.compare_digest(signature.encode(), _signature(body, key).encode()):
        arguments = [word for name, value in target.arguments.items() for word in ("--arg", f"{name}={value}")]
        raise ProbeError(
            f"{dump.path} was not recorded by you on this machine, so the code it names is not run: {target}",
            hint=f"if you trust that code, name it yourself: {shlex.join(['--reference', str(target), *arguments])}",
        )
    return target


def _signature(described: dict[str, Any], key: bytes | None) -> str:
    text = json.dumps(described, sort_keys=True, default=str)
    return hmac.new(key or b"", text.encode(), hashlib.sha256).hexdigest() if key else ""


def _key(*, create: bool) -> bytes | None:
    """32 random bytes that only this user can read; None where they are missing and cannot, or shall not, be made."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "probe" / "key"
    try:
        if not path.exists() and create:
            _make_key(path)
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == 32 else None


def _make_key(path: Path) -> None:
    """Whole or not at all: of two runs that make it at once, the second takes the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=path.parent) as made:  # mode 0600
        made.write(secrets.token_bytes(32))
        made.flush()
        with suppress(FileExistsError):
            os.link(made.name, path)
