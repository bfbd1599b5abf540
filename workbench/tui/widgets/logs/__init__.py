"""The log pane: a bounded store, a filter over it, and a view that never moves what is being read."""
