"""What fills the terminal: the board itself, and the dialogs over it."""
