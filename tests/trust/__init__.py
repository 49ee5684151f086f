"""Mistakes of measuring, planted into recordings; and honest recordings, which must pass."""
