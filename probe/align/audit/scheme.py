"""How a matrix was quantized, as far as a dump's tables tell: by the dtype it is stored in, or by the noise alone.

Matrices themselves are not in a dump, so that the groups of a dequantized one are not seen. Its noise is beside what
each scheme leaves in bell-shaped weights (normal, Laplace, Student's t with 5 degrees of freedom; rows of 64 to 4096;
two seeds each), in dB:

    int8, a scale a tensor      27 to 41        fp8 e4m3, a scale a row or none         31 to 33
    int8, a scale a row         34 to 45        int4, a scale a row                      9 to 20
    int8, groups of 32          43 to 46        int4, groups of 128, 64, 32; nf4        15 to 22
    int6, a scale a row         22 to 33        int3, groups of 32 or 64                10 to 14
    ggml's Q8_0                 43 to 46        ggml's Q6_K                             33 to 35
    ggml's Q5_0, Q5_1, Q5_K     25 to 29        ggml's Q4_0, Q4_1, Q4_K                 19 to 23
    ggml's Q3_K                 15 to 16        ggml's Q2_K                              9 to 11

Only where one number of bits is left is it said, as a likeness: fine-tuning leaves any noise.
"""

from probe.align.audit.comparison import Comparison, Value, is_quantized_type
from probe.dump import Axis

LIKE_BITS = ((36.0, 48.0, "as 8 bits leave"), (17.0, 23.0, "as 4 bits leave"))
"""dB from, dB below, words: where of the schemes above those of other bits end."""
SURELY = {"int8": 34.0, "uint8": 34.0}
"""dB from which one scale, or one for each vector, explains what is stored: scales of groups or blocks of it, which are
a few percent apart, leave less."""
SURELY_FLOAT = 30.0
_ROWS = (Axis.ROWS, Axis.INNER_ROWS, Axis.MIDDLE)


def scheme(found: Comparison, stored: str) -> str:
    """In words without numbers of layers; `stored` is the candidate's dtype."""
    if is_quantized_type(stored):
        if found.sqnr_db < SURELY.get(stored, SURELY_FLOAT):
            return f"{stored}, scales not seen"
        if found.value is Value.SCALED:
            return f"{stored}, one scale for all of it"
        if found.value is Value.VECTORS_SCALED:
            return f"{stored}, a scale for each {'row' if found.axis in _ROWS else 'column'}"
        return stored
    alike = [f", noise {words}" for low, high, words in LIKE_BITS if low <= found.sqnr_db < high]
    return f"scheme not seen: matrices are not in the dump{''.join(alike)}"
