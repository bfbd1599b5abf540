"""The tuning pane: every option with its value, where it comes from and when a change takes hold."""
