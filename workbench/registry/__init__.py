"""A registry: workers register with it, and it hands them the jobs that are dispatched to it."""
