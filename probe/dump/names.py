"""Names as HDF5 can hold them: text of a table, and links of a group."""

from urllib.parse import unquote


def clean(text: str) -> str:
    """Text that HDF5 can hold: NUL ends its strings, and lone surrogates have no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def link_name(name: str) -> bytes:
    """A name as one HDF5 link: "/" would make a group, and "." means the group itself."""
    quoted = clean(name).replace("%", "%25").replace("/", "%2F")
    return (quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted).encode()


def linked_name(link: bytes) -> str:
    """The (clean) name that `link_name` made a link of."""
    return unquote(link.decode("utf-8", "replace"))
