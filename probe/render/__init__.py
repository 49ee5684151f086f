"""A Report, or a dump's contents, as text and as JSON."""
