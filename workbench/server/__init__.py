"""The aiohttp application over a supervisor: health, metrics, control, events, rooms."""
