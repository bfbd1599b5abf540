"""For uvicorn: an ASGI app whose request `/WORK/SECONDS` works for so long, and answers with its version."""

import asyncio
from typing import Any

import part
from stamps import stamp


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        stamp("up", part.VERSION)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    _, work, seconds = scope["path"].split("/")
    stamp("began", part.VERSION, int(work))
    await asyncio.sleep(float(seconds))
    body = str(part.VERSION).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
    stamp("done", part.VERSION, int(work))
