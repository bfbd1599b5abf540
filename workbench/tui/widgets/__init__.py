"""The panes of the board, one file each."""
