"""The screen over a registry: its workers, its jobs, what happened."""
