"""The two models of `probe demo`: a reference, and a port of it with two bugs planted."""
