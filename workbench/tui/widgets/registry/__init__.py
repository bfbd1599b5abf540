"""The panes of the registry's screen."""
