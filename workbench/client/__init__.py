"""The one door to a running supervisor, for the TUI, the commands and the tests."""
