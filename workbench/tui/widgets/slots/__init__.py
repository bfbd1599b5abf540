"""The process table: which columns fit, what their cells say, and the table itself."""
