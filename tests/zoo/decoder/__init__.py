"""A decoder written without transformers: nine architectures, three styles, and every number of it can be wrong.

`settings` says what a layer computes, `functions` how, and `plain`, `fused` and `nano` arrange it into modules.
"""
