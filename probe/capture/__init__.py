"""A PyTorch run becomes a stream of taps.

Needs torch, numpy, h5py and xxhash alone: it runs inside the candidate's own environment, whatever is installed there.
"""
