"""Reports and dumps as text and JSON."""
