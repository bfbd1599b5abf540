"""The talk pane: a conversation with the room of a job."""
