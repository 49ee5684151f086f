"""Pairing the taps of two dumps: by name, by weights, by order, by a table; and the layouts between them."""
