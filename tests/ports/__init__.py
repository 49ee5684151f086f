"""Ports written independently of transformers, and the references they are held against."""
