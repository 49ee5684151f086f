"""The zoo: models and independent ports of them with bugs planted, honest differences, and a judge of what is reported.

`make zoo` runs all of it; `python -m tests.zoo --only norm.eps --part seen --limit 5` a slice. One pair by hand:

    from tests.zoo.pairs import pair
    from tests.zoo.bugs import bug_named
    made = pair(bug_named("eps of all norms"), "llama", "seen", 3, style="transformers", dtype="bf16")
    made.reference, made.inputs, made.candidate, made.candidate_inputs, made.places

draw.py draws models, planted/ has the bugs, benign.py what is none, decoder/ a port in three styles (tests/ports has
fourteen more), pairs.py puts them together, plan.py says which pairs there are, judge.py and table.py what came out.
"""
