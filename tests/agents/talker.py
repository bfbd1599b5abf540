"""An agent that says things in wrong ways, or too much of them. `do` in the metadata says what."""

import asyncio
import json
import logging
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ledger import note

from workbench import JobContext, Options, WorkerJob

CHANNEL, RECORDS = 3, 5
log = logging.getLogger("talker")


def frame_of(message: Any) -> bytes:
    body = message.encode() if isinstance(message, str) else json.dumps(message).encode()
    return len(body).to_bytes(4, "big") + body


class Bomb:
    """What runs a command in whoever unpickles it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def write(ctx: JobContext) -> None:
    """Bytes on descriptors, as metadata lists them: {"fd": n, "bytes": [...]} or "text"."""
    for one in ctx.metadata["writes"]:
        os.write(one["fd"], bytes(one["bytes"]) if "bytes" in one else one["text"].encode())
    for fd in ctx.metadata.get("close", []):
        os.close(fd)
    note(ctx, "written")


def write_everywhere(ctx: JobContext) -> None:
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        if int(name) > 2:
            try:
                os.write(int(name), b"x" * 4096)
            except OSError:
                continue
    note(ctx, "written")


async def flood(ctx: JobContext) -> None:
    """Lines as fast as the kernel takes them: as many as told, or until a file is there."""
    until = ctx.metadata.get("until")
    command = ["yes", "flood" * 12] if until else ["seq", "-f", "flood %.0f", str(ctx.metadata["lines"])]
    writer = await asyncio.create_subprocess_exec(*command)
    if until:
        while not os.path.exists(until):
            await asyncio.sleep(0.01)
        writer.kill()
    code = await writer.wait()
    note(ctx, "flooded", lines=0 if until or code else ctx.metadata["lines"])


def log_much(ctx: JobContext) -> None:
    """Records, although nobody reads them; then more, once somebody does."""
    for n in range(ctx.metadata["records"]):
        log.warning("record %d", n)
    note(ctx, "logged")
    while not os.path.exists(ctx.metadata["until"]):
        time.sleep(0.01)
    log.warning("after them")


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    do = ctx.metadata.get("do", "return")
    if do == "write":
        write(ctx)
    elif do == "everywhere":
        write_everywhere(ctx)
    elif do == "frames":
        os.write(CHANNEL, b"".join(map(frame_of, ctx.metadata["frames"])))
        note(ctx, "written")
    elif do == "pickle":
        bomb = pickle.dumps(Bomb(ctx.metadata["path"]))
        os.write(RECORDS, bomb + b"\n")
        os.write(CHANNEL, frame_of("")[:3] + bytes([len(bomb)]) + bomb)
        note(ctx, "written")
    elif do == "flood":
        await flood(ctx)
        return
    elif do == "log much":
        log_much(ctx)
        return
    elif do == "die talking":
        for n in range(200):
            print(f"last {n}")
        note(ctx, "said")
        os._exit(ctx.metadata["code"])
    elif do == "leave a holder":
        holder = subprocess.Popen(["sleep", "600"], start_new_session=True)
        note(ctx, "helper", helper=holder.pid)
        return
    elif do == "secrets":
        await tell_secrets(ctx)
    elif do == "echo":
        async for message in ctx.room:
            await ctx.room.send(message.text.upper())
        return
    elif do == "exec":
        names = {"ctx": ctx, "log": log, "os": os, "sys": sys, "asyncio": asyncio}
        exec(ctx.metadata["code"], names)
        if "call" in ctx.metadata:
            await names[ctx.metadata["call"]]()
        return
    elif do == "return":
        return
    await ctx.run_until_shutdown()


async def tell_secrets(ctx: JobContext) -> None:
    """Everything an agent can do wrong with a secret."""
    for file in ctx.metadata["files"]:
        secret = Path(file).read_text().strip()
        print("printed", secret)
        sys.stdout.write(f"split {secret[:7]}")
        sys.stdout.flush()
        await asyncio.sleep(0.05)
        sys.stdout.write(f"{secret[7:]}\n")
        print(secret, file=sys.stderr)
        print("x" * (64 * 1024 - 9) + secret)  # the cut of long lines goes through it
        log.warning("logged %s", secret, extra={"token": secret})
        logging.getLogger(secret).warning("a name")
        log.warning("https://user:%s@example.org/?token=%s", quote(secret), quote(secret, safe=""))
        try:
            raise KeyError(secret)
        except KeyError:
            log.exception("caught")
        ctx.report(token=secret, **{secret[:40]: 1})
        await ctx.room.send(secret)
    note(ctx, "told")
    raise ValueError("it was " + " and ".join(Path(file).read_text().strip() for file in ctx.metadata["files"]))


if __name__ == "__main__":
    WorkerJob(entrypoint, options=Options(agent_id="talker", load_threshold=float("inf"))).start()
