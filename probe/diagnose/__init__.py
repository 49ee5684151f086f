"""What the bug is: hypotheses about a place at fault, each tried by planting it into the reference's own computation.

A family is a function that looks at one place's program and yields what may be wrong there; a new bug class is one
more function. The names are those of `causes.py`, and a place that nothing explains stays "unknown".
"""
