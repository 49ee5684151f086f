"""How models are named, loaded and fed."""
