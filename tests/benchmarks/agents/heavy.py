"""An agent with imports as real ones have: numpy (where it is installed), pydantic and aiohttp."""

import contextlib

import aiohttp
import pydantic
from doing import entrypoint

from workbench import WorkerJob

with contextlib.suppress(ModuleNotFoundError):
    import numpy  # noqa: F401


class Settings(pydantic.BaseModel):
    name: str = "heavy"
    timeout: float = aiohttp.ClientTimeout().connect or 1.0


if __name__ == "__main__":
    WorkerJob(entrypoint).start()
