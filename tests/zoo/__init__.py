"""The zoo: many architectures, honest runs that must not be blamed, and planted bugs that must be found at their place.

`make zoo` runs all of it and prints one table; a slice runs in the tests.
"""
