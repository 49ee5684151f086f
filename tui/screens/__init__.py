"""What lies over the two panes for a while: a file each."""
