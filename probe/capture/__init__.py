"""A PyTorch run becomes a stream of taps.

Needs torch, numpy and h5py alone: it runs inside the candidate's own environment, whatever is installed there.
"""
