"""The parts of the watch for saves: which files, what is in them, who tells of changes, and who makes them."""
