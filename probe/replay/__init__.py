"""Local errors in two forward passes: the reference, run with the candidate's tensors put in its place.

Upstream error never reaches a comparison, so each difference is that span's own. The first pass computes in the less
precise of the two runs' dtypes, the second in float64; what lies between the two at a tap is what honest rounding
causes there. A third, only if something differs, lets the reference keep its own tensors at the taps in question:
where all that follows agrees even so, the candidate was merely tapped at another point, and the passes are run again
without putting that tensor in.
"""
