"""What the bug is: hypotheses about a place at fault, each tried by planting it into the reference's own computation.

A family is a function that looks at one place's program and yields what may be wrong there; a new bug class is one
more function, in a module that `families.py` lists. The names are those of `causes.py`, and a place that nothing
explains stays "unknown".

To be read in this order: a place is a `case.py`, what may be wrong there a `hypothesis.py` made of `edits.py`;
`search.py` tries all that `families.py` has, each as `tried.py` does it, then several at once (`several.py`,
`few_tokens.py`); `diagnosis.py` goes from place to place, `merge.py` makes findings of what explains them, and
`planting.py` and `proof.py` plant those into the whole model. `beneath.py`, `witness.py` and `hidden.py` do the same
for bugs that no norm of an error shows.
"""
