"""The same with the imports of `agents/heavy.py`."""

import aiohttp  # noqa: F401
import numpy  # noqa: F401
import pydantic  # noqa: F401
from agent_trivial import entry_livekit, entry_videosdk, prewarm_livekit

__all__ = ["entry_livekit", "entry_videosdk", "prewarm_livekit"]
