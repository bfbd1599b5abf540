"""Where a worker's jobs come from, apart from its own routes: the link to a registry."""
