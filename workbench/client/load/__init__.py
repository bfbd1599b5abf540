"""Load: jobs handed to a running worker by a plan, and what became of them. Nothing here prints."""
