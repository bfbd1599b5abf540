"""The load pane: jobs handed to the worker at a rate, and what became of them."""
