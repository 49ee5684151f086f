"""The planted bugs, a file a family."""
