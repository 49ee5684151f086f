"""Where `printable` was: it is in probe.printable, since a notebook's cell needs it too."""

from probe.printable import printable as printable
