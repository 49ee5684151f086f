"""Tests of probe.diagnose: a family a file, with its honest counterpart."""
