"""Everything about one process: what it is, and the sections that tell it."""
