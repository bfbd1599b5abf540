"""Rows M7: no secret is told, wherever it stands and however a text is cut."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import WAIT_S, child_environment
from tests.defences import defence
from tests.workers import log_lines, run, until, until_ended, until_ready, until_written
from workbench.agent.problem import problem_of
from workbench.client.client import Client
from workbench.model.mask import HIDDEN, Mask
from workbench.model.text import clean_text, cut

AGENT = "talker.py"
pytestmark = pytest.mark.timeout(120)

# --- M7: secrets ------------------------------------------------------------------------------------

SECRETS = {
    "VIDEOSDK_AUTH_TOKEN": "eyJhbGciOiJIUzI1NiJ9.videosdk-canary.x",
    "WORKBENCH_CONTROL_TOKEN": 'control"canary\\with/signs+Ω=',
    "auth_token_file": "auth-file-canary-42",
    "control_token_file": "control-file-canary-43",
}


def secret_files(folder: Path) -> dict[str, str]:
    files = {}
    for name, value in SECRETS.items():
        files[name] = str(folder / name.lower())
        Path(files[name]).write_text(value + "\n")
    return files


def assert_no_secret(text: str, where: str) -> None:
    for value in SECRETS.values():
        for form in (value, json.dumps(value)[1:-1], quote(value), quote(value, safe=""), value[:9], value[-9:]):
            assert form not in text, f"{where}: ...{text[max(0, text.index(form) - 60) :][:160]}"


async def every_answer(client: Client, job: dict[str, Any]) -> str:
    """All that the routes tell, and the stream."""
    import aiohttp

    from workbench.server import app, talk

    paths = [route.path for route in (*app.routes, *talk.routes) if getattr(route, "method", "") == "GET"]
    answers = []
    connector = aiohttp.UnixConnector(path=client.address.path)
    async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
        for path in paths:
            name = job["room_id"] if "rooms" in path else job["id"]
            async with session.get(path.replace("{id}", name)) as answer:
                answers.append(await answer.text())
        async with session.ws_connect("/events", max_msg_size=0) as socket:
            await socket.send_json({"logs": {"tail": 10_000}})
            while '"type": "logs"' not in answers[-1]:
                answers.append((await socket.receive(WAIT_S)).data)
    return "\n".join(answers)


@defence(("workbench/supervisor/logs.py", "        lines = self.mask.lines(lines)\n", ""))
@defence(("workbench/supervisor/logs.py", "self.mask.text(logger)[:LONGEST_LOGGER]", "logger"))
@defence(("workbench/server/app.py", "middlewares=[masked, outermost]", "middlewares=[outermost]"))
@defence(("workbench/server/stream.py", "self._supervisor.logs.mask.json(dump(message))", "dump(message)"))
@defence(("workbench/model/mask.py", "for mark in CUT.finditer(line)]", "for mark in ()]"))
@defence(("workbench/model/mask.py", "(self.text(key) if foreign else key)", "key"))
@defence(("workbench/model/mask.py", '{quote(value), quote(value, safe="")}', "set()"))
@defence(("workbench/model/mask.py", "{value, repr(value)[1:-1]}", "{value}"))
@defence(
    ("workbench/supervisor/secrets.py", "if is_secret_variable(name):", "if not name:"),
    ("workbench/supervisor/secrets.py", "yield plain(given.value)", 'yield ""'),
)
@defence(("workbench/supervisor/secrets.py", "yield _content(given.value)", 'yield ""'))
@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_fault_M7_no_secret_is_told_anywhere(start_worker: Any, tmp_path: Path, log_format: str) -> None:
    files = secret_files(tmp_path)
    environment = {name: SECRETS[name] for name in ("VIDEOSDK_AUTH_TOKEN", "WORKBENCH_CONTROL_TOKEN")}
    worker = start_worker(
        AGENT, "--log-format", log_format, "--log-level", "DEBUG", "--auth-token-file", files["auth_token_file"],
        "--control-token-file", files["control_token_file"], **environment,
    )  # fmt: skip
    async with worker.client() as client:
        await until_ready(client)
        metadata = {"do": "secrets", "files": list(files.values()), "note": list(SECRETS.values())}
        job = await client.dispatch(None, metadata)
        await until_written(worker, job["id"], "told")
        answers = await every_answer(client, job)
        ended = await until_ended(client, job["id"])
        answers += json.dumps(ended) + await every_answer(client, ended)
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    assert_no_secret(answers, "an answer")
    assert_no_secret(worker.output(), "the output")
    assert ended["error"].startswith("ValueError: it was ******** and ******** and ******** and ******** (")
    for text in (answers, worker.output()):
        assert text.count("printed ********") >= len(SECRETS)
        assert text.count("split ********") >= len(SECRETS)


def ended_with_secret(tmp_path: Path, arguments: list[str], source: str) -> "subprocess.CompletedProcess[str]":
    """A command about an agent that knows a secret; it told nobody."""
    secret = SECRETS["VIDEOSDK_AUTH_TOKEN"]
    (tmp_path / "bot.py").write_text(f"import os, threading\nsecret = os.environ['VIDEOSDK_AUTH_TOKEN']\n{source}\n")
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *arguments, "--port", "0"], cwd=tmp_path, capture_output=True,
        text=True, check=False, timeout=WAIT_S, stdin=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), VIDEOSDK_AUTH_TOKEN=secret),
    )  # fmt: skip
    assert_no_secret(done.stdout + done.stderr, "the output")
    return done


@defence(("workbench/supervisor/secrets.py", "error.args = (mask.text(str(error)),)", "pass"))
@defence(
    (
        "workbench/cli/doctor/command.py",
        "print(mask.json(_as_json(parsed, sections, failure, code)))",
        "print(_as_json(parsed, sections, failure, code))",
    )
)
@pytest.mark.parametrize("arguments", [
    ["bot.py", "--no-tui", "--once"], ["doctor", "bot.py"], ["doctor", "--json", "bot.py"], ["options", "bot.py"],
])  # fmt: skip
def test_fault_M7_no_secret_is_in_the_error_of_an_agent_that_cannot_be_loaded(
    tmp_path: Path, arguments: list[str]
) -> None:
    done = ended_with_secret(tmp_path, arguments, "raise ValueError(secret)")
    assert done.returncode == 3
    assert "ValueError: ********" in done.stderr
    if "--json" in arguments:
        assert json.loads(done.stdout)["problem"][0].startswith("ValueError: ********")


@defence(("workbench/cli/doctor/report.py", 'clean_text(self._mask.text(" ".join(', 'clean_text((" ".join('))
@defence(("workbench/cli/doctor/report.py", "what = clean_text(self._mask.text(what))", "what = clean_text(what)"))
@defence(
    (
        "workbench/cli/doctor/command.py",
        "print(mask.json(_as_json(parsed, sections, failure, code)))",
        "print(_as_json(parsed, sections, failure, code))",
    )
)
@pytest.mark.parametrize("arguments", [["doctor", "bot.py"], ["doctor", "--json", "bot.py"]])
def test_fault_M7_no_secret_is_in_the_report_of_the_doctor(tmp_path: Path, arguments: list[str]) -> None:
    done = ended_with_secret(
        tmp_path, arguments,
        "name = __file__.replace('bot', secret)\n"
        "exec(compile('import time\\ntime.sleep(2.5)', name, 'exec'))  # where it stands is told\n"
        "threading.Thread(target=threading.Event().wait, name=secret, daemon=True).start()\n"
        "async def entrypoint(ctx): pass",
    )  # fmt: skip
    assert done.returncode == 0
    assert "while loading: ********" in " ".join(done.stdout.split())
    assert "--json" in arguments or "still loading bot.py: " in done.stdout


@defence(("workbench/cli/serve.py", "self.supervisor.logs.mask.learn([token])", "pass"))
async def test_fault_M7_a_secret_that_replaced_another_in_its_file_is_hidden_once_it_is_used(
    start_worker: Any, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first-canary-1\n")
    worker = start_worker(AGENT, "--host", "0.0.0.0", "--control-token-file", str(file))
    async with worker.client() as client:
        await until_ready(client)
        file.write_text("second-canary-2\n")
        url = (await client.request("GET", "/stats"))["worker"]["url"].replace("0.0.0.0", "127.0.0.1")
        from workbench.client.address import Address

        async with Client(Address(url=url), "second-canary-2") as remote:
            await remote.request("GET", "/jobs")
        await run(client, "exec", code="print('first-canary-1', 'second-canary-2')")
        lines = [line.text for line in await log_lines(client)]
    assert "******** ********" in lines


@defence(("workbench/model/mask.py", "if value and len(value) >= SHORTEST}", "if value}"))
async def test_fault_M7_a_secret_too_short_to_be_one_masks_no_ordinary_words(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--registry-url", "wss://user:a@registry.invalid")
    async with worker.client() as client:
        await until_ready(client)
        await run(client, "exec", code="print('a plain line')")
        assert "a plain line" in [line.text for line in await log_lines(client)]


@defence(("workbench/model/mask.py", "if key in OURS and isinstance(item, str) and not foreign", "if False"))
async def test_fault_M7_a_secret_that_is_a_word_of_ours_breaks_no_answer(start_worker: Any) -> None:
    worker = start_worker(AGENT, WORKBENCH_CONTROL_TOKEN="completed")
    async with worker.client() as client:
        await until_ready(client)
        assert (await run(client, "return"))["status"] == "completed"


@defence(("workbench/model/options.py", "len(text) >= SHORTEST and", "len(text) > 0 and"))
@pytest.mark.parametrize("source", ["WORKBENCH_CONTROL_TOKEN", "VIDEOSDK_AUTH_TOKEN", "file"])
def test_fault_M7_a_token_too_short_to_be_hidden_is_refused(start_worker: Any, tmp_path: Path, source: str) -> None:
    (tmp_path / "token").write_text("abcde\n")
    from_file = ["--control-token-file", str(tmp_path / "token")] if source == "file" else []
    worker = start_worker(AGENT, *from_file, **({} if from_file else {source: "abcde"}))
    assert worker.ended() == 2
    assert "a token without blanks or line breaks, at least 6 characters long" in worker.output()
    assert "abcde" not in worker.output()


@defence(("workbench/model/mask.py", "([len(line)] if unfinished else [])", "[len(line)]"))
async def test_fault_M7_a_secret_that_begins_with_a_name_hides_no_such_name(start_worker: Any) -> None:
    worker = start_worker("ledger.py", WORKBENCH_CONTROL_TOKEN="ledger-2026-secret")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch("ledger", {"do": "return"})
        ended = await until_ended(client, job["id"])
        state = await until(client, lambda state: state)
    assert ended["room_id"] == "ledger"
    assert state.worker.agent_id == "ledger"
    assert worker.output().count(HIDDEN) == 1  # that the option is set


def masked(*secrets: str) -> Mask:
    mask = Mask()
    mask.learn(secrets)
    return mask


SECRET = "eyJhbGciOiJIUzI1NiJ9.canary"


@defence(("workbench/model/mask.py", "self._beginning(line, before, end)", "None"))
@pytest.mark.parametrize("limit", [15, 20, 27, 64, 70])
def test_fault_M7_what_begins_where_a_text_was_cut_is_hidden_whatever_follows(limit: int) -> None:
    for made in (cut, clean_text):
        text = made(f"the {SECRET} {'x' * 50}", limit)
        told = masked(SECRET).text(f"{text} (bot.py:3 in entrypoint)")
        assert not any(SECRET[:n] in told for n in range(6, len(SECRET))), told
        assert told.endswith(" (bot.py:3 in entrypoint)")


@defence(("workbench/model/mask.py", 'value.get("partial") is True and not foreign', "False"))
def test_fault_M7_a_message_that_is_being_written_does_not_tell_a_secret_bit_by_bit() -> None:
    mask = masked(SECRET)
    for length in range(6, len(SECRET)):
        message = {"type": "message", "message": {"text": f"it is {SECRET[:length]}", "partial": True, "data": None}}
        assert json.loads(mask.json(json.dumps(message)))["message"]["text"] == f"it is {HIDDEN}"
    whole = {"type": "message", "message": {"text": f"it is {SECRET[:8]}", "partial": False, "data": None}}
    assert json.loads(mask.json(json.dumps(whole))) == whole


@defence(
    (
        "workbench/agent/problem.py",
        "            break\n        lines.appendleft(short)",
        "            pass\n        lines.appendleft(short)",
    )
)
@defence(
    (
        "workbench/agent/problem.py",
        '_last_lines("".join(traceback.format_exception(error)))',
        '"".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]',
    )
)
@pytest.mark.parametrize("more", range(0, 40, 4))
def test_fault_M7_the_end_of_a_traceback_does_not_begin_within_a_secret(more: int) -> None:
    error = ValueError(f"first\n{SECRET}\n" + ("x" * 99 + "\n") * 79 + "x" * (80 + more))
    told = masked(SECRET).text(problem_of(error, "/").traceback)
    assert len(told) <= 8000
    assert not any(SECRET[-n:] in told for n in range(6, len(SECRET)))


@defence(
    (
        "workbench/model/mask.py",
        "max(start, end - len(self._forms[0])), end)",
        "0, len(line))",
    )
)
@pytest.mark.parametrize("end", ["", " \u2026 +1000 bytes"])
def test_fault_M7_a_line_full_of_other_tokens_costs_no_more_than_any_line(end: str) -> None:
    """Their beginnings are the same as that of ours: `{"alg":"HS256"}`."""
    ours, calls = "eyJhbGciOiJIUzI1NiJ9." + "o" * 1000, 0
    line = (b"eyJhbGciOiJIUzI1NiJ9.foreign " * 2500)[: 64 * 1024] + end.encode()
    mask = masked(ours)

    def count(frame: Any, event: str, function: Any) -> None:
        nonlocal calls
        calls += event == "c_call"

    sys.setprofile(count)
    try:
        lines = mask.lines([line])
    finally:
        sys.setprofile(None)
    assert lines == [line]
    assert calls < 200


@defence(("workbench/process/runner.py", "cut(repr(error.code), 200)", "repr(error.code)[:200]"))
@defence(("workbench/agent/problem.py", "text = cut(text, LONGEST_ERROR)", "text = text[:LONGEST_ERROR]"))
@defence(("workbench/process/records.py", "cut(name, 200)", "name[:200]"))
@defence(("workbench/process/records.py", "cut(text, room)", "text[:room]"))
@defence(("workbench/supervisor/rooms.py", "cut(said.text, LONGEST_TEXT)", "said.text[:LONGEST_TEXT]"))
@pytest.mark.parametrize(
    "code",
    [
        "sys.exit({secret})",
        "raise ValueError('x' * 7900 + {secret})",
        "import logging\nlogging.getLogger('x' * 100 + {secret}).warning('a name')",
        "log.warning('x' * (32 * 1024 - 100) + {secret})",
        "async def main(): await ctx.room.send('x' * (256 * 1024 - 100) + {secret})",
    ],
    ids=["exit", "error", "name", "record", "message"],
)
async def test_fault_M7_a_secret_that_a_limit_goes_through_is_not_told(start_worker: Any, code: str) -> None:
    secret = "canary-" + "".join(map(str, range(1000)))
    worker = start_worker(AGENT, WORKBENCH_CONTROL_TOKEN=secret)
    async with worker.client() as client:
        await until_ready(client)
        call = {"call": "main"} if "main" in code else {}
        job = await run(client, "exec", code=code.format(secret=repr(secret).replace("canary", "can' 'ary")), **call)
        answers = json.dumps(job) + await every_answer(client, job)
        answers += json.dumps(await client.request("GET", f"/rooms/{job['room_id']}/messages"))
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    for text in (answers, worker.output()):
        assert "canary" not in text
        assert HIDDEN in text
