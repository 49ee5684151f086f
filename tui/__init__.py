"""The Textual app that browses a Report; it sees probe.report and probe.dump, never argv."""
