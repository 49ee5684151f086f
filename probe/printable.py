"""Text as it may be shown: names in dumps are anybody's, and a terminal obeys what it is sent."""


def printable(text: str) -> str:
    """`text` on one line, with control characters (line ends, terminal escapes, reversed writing) made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
