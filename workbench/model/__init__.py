"""The ground floor: options, events, state and decisions. Standard library and pydantic only."""
