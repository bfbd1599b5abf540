"""One try to reach a registry, and what is said of it when it fails."""

import asyncio
import socket

import pytest

from tests.conftest import WAIT_S
from tests.defences import defence
from tests.link.scripted import Scripted
from workbench.backend import dial as dialling
from workbench.backend.dial import Line, Registry, dial, session
from workbench.backend.trouble import LinkTrouble, RegistryRefused
from workbench.model import wire

DIAL = "workbench/backend/dial.py"


async def tried(url: str, *, rereads_token: bool = False) -> Line:
    """One try; the connection, closed again."""
    async with asyncio.timeout(WAIT_S), session(loopback=True) as http:
        line = await dial(http, Registry(url, "some-token", rereads_token), wire.Register(agent_name="a"))
        await line.socket.close()
        return line


async def trouble(url: str) -> str:
    with pytest.raises(LinkTrouble) as failed:
        await tried(url)
    assert "some-token" not in str(failed.value)
    return str(failed.value)


def answering(registry: Scripted, where: str, status: int) -> str:
    """Have the API or the registry answer so; the address."""
    registry.init_status, registry.status = (status, 101) if where == "api" else (200, status)
    return f"http://127.0.0.1:{registry.port}"


@pytest.mark.parametrize("where", ["api", "registry"])
async def test_fault_J1_what_an_answer_means(registry: Scripted, where: str) -> None:
    for status, words in ((401, "VIDEOSDK_AUTH_TOKEN"), (403, "may not register"), (426, "update workbench")):
        with pytest.raises(RegistryRefused, match=words):
            await tried(answering(registry, where, status))
    for status in (400, 404, 429, 500, 503):
        assert f"answers {status}" in await trouble(answering(registry, where, status))
    with pytest.raises(LinkTrouble, match="does not know the token"):  # another one may stand in the file by then
        await tried(answering(registry, where, 401), rereads_token=True)
    assert (await tried(answering(registry, where, 101 if where == "registry" else 200))).worker_id == "w-1"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ws://registry.invalid", "no address is known for registry.invalid"),
        ("https://registry.invalid/api", "no address is known for registry.invalid"),
        ("ws://127.0.0.1:1", "Connection refused"),
        ("wss://127.0.0.1:{port}", "TLS: "),
        ("https://127.0.0.1:{port}", "TLS: "),
        ("http://127.0.0.1:{port}/nowhere", "answers 404"),
        ("ws://127.0.0.1:{port}/nowhere", "answers 404"),
        ("ws://:1", "ws://:1: "),
        ("ws://a b", "ws://a b: "),
    ],
)
async def test_fault_J1_nobody_there_is_named(registry: Scripted, url: str, words: str) -> None:
    assert words in await trouble(url.format(port=registry.port))


@pytest.mark.parametrize("where", ["api", "registry"])
@defence((DIAL, "    trace.on_request_redirect.append(_no_redirect)\n", ""))
async def test_fault_J15_a_redirect_is_not_followed(registry: Scripted, where: str) -> None:
    for status in (301, 302, 307, 308):
        assert "redirects elsewhere" in await trouble(answering(registry, where, status))


@pytest.mark.parametrize("found", ["", "http://127.0.0.1:1", "127.0.0.1:1", "javascript:0"])
async def test_an_api_must_name_a_websocket(registry: Scripted, found: str) -> None:
    registry.registry_url = found or "nothing"
    assert "names no ws:// or wss:// address" in await trouble(f"http://127.0.0.1:{registry.port}")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"success": False, "message": "no room \x1b[2J here"}, "does not register this worker: no room"),
        ({"success": False}, "it does not say why"),
        ({"success": "yes"}, "cannot be read"),
        ({"type": "surprise"}, "it does not say why"),
    ],
)
async def test_a_registration_that_fails_says_why(registry: Scripted, answer: dict[str, object], words: str) -> None:
    registry.answer = lambda register: answer
    assert words in await trouble(registry.url)


async def test_fault_J3_a_registry_that_accepts_and_says_nothing_is_given_up(
    registry: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialling, "CONNECT_S", 2.0)
    registry.answer = lambda register: None
    assert "did not answer to `register` within" in await trouble(registry.url)


@pytest.mark.parametrize("scheme", ["ws", "http"])
@defence(
    (
        DIAL,
        "        async with asyncio.timeout(CONNECT_S):\n            return await http.ws_connect(",
        "        async with asyncio.timeout(None):\n            return await http.ws_connect(",
    )
)
async def test_fault_J3_a_host_that_accepts_and_never_answers_is_given_up(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialling, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel accepts, and nobody reads
        assert "did not answer within" in await trouble(f"{scheme}://127.0.0.1:{server.getsockname()[1]}")
