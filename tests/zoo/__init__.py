"""The zoo: models and independent ports of them with bugs planted, honest differences, and a judge of what is reported.

`make zoo` runs all of it; `python -m tests.zoo --only norm.eps --part seen --limit 5` a slice. One pair by hand:

    from tests.zoo.bugs import bug_named
    from tests.zoo.pairs import pair
    made = pair(bug_named("eps of all norms"), "llama", "seen", 3, style="transformers", dtype="bf16")
    made.reference, made.inputs, made.candidate, made.candidate_inputs, made.places

architectures.py builds models and draw.py draws some, views.py says what each calls its parts, planted/ has the bugs
(bugs.py lists them), benign.py what is none, decoder/ a port in three styles (tests/ports has fourteen more), ported.py
whose code a candidate is. pairs.py puts them together, plan.py says which pairs there are, judge.py, table.py and
misses.py what came out.
"""
