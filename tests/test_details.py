"""What is told of one process, held against procfs, files and what the agent itself wrote; and stack dumps."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import AGENTS, wait_until
from tests.defences import defence
from tests.workers import begin, processes, run, until, until_ended, until_ready
from workbench.client.client import ClientError
from workbench.model.environment import hidden_text, hidden_value, shown_command, shown_environment
from workbench.model.mask import HIDDEN

SOURCE = (AGENTS / "running.py").read_text().splitlines()
SECRET = "opensesame-4711-very-secret"
pytestmark = pytest.mark.timeout(120)


def line_of(function: str) -> int:
    """The first line of a function's body."""
    return SOURCE.index(f"def {function}() -> None:") + 2


async def refused(asked: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as found:
        await asked
    return found.value.status or 0, str(found.value)


# --- what procfs tells --------------------------------------------------------------------------------


async def test_a_process_is_told_with_its_memory_children_and_jobs(start_worker: Any) -> None:
    worker = start_worker("trouble.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "fork worker", mb=60)
        pid = job["pid"]
        helper = wait_until(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), "the job has forked")[
            0
        ]
        found = await client.process(pid)
        rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        ended = await until_ended(client, job["job"])
        after = await client.process(pid)
    assert (found["pid"], found["state"], found["job_id"]) == (pid, "busy", job["job"])
    private = sum(int(rollup[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) * 1024 / 1e6
    shared = sum(int(rollup[name].split()[0]) for name in ("Shared_Clean", "Shared_Dirty")) * 1024 / 1e6
    memory = found["memory"]
    assert memory["own"]["mb"] == pytest.approx(private, abs=8)
    assert memory["shared"]["mb"] == pytest.approx(shared, abs=8)
    assert memory["shared"]["mb"] > 50  # the fork has them, too
    assert 60 < memory["tree"]["mb"] < 110  # counted once, though each of the two has them
    assert all(figure["metric"] for figure in memory.values())
    assert [(str(child["pid"]), child["parent"]) for child in found["children"]] == [(helper, pid)]
    assert found["threads"] >= 1
    assert found["descriptors"] >= 5
    assert found["start_method"] == "zygote"
    assert "forking" in found["start_method_why"]
    assert [entry["state"] for entry in found["history"]] == ["starting", "idle", "busy"]
    assert found["started_at"] == found["history"][0]["at"]
    assert found["jobs"][0]["id"] == job["job"]
    assert found["jobs"][0]["start_latency_ms"] > 0
    assert after["jobs"][0]["reason"] == ended["reason"] == "returned"
    assert after["jobs"][0]["duration_s"] == pytest.approx(ended["ended_at"] - ended["started_at"], abs=0.01)


async def test_only_processes_of_this_worker_are_told(start_worker: Any) -> None:
    worker, other = start_worker("ledger.py"), start_worker("ledger.py")
    async with worker.client() as client, other.client() as stranger:
        await until_ready(client)
        await until_ready(stranger)
        theirs = (await processes(stranger, "idle"))[0]["pid"]
        for pid in (theirs, worker.process.pid, os.getpid(), 1, 0, "x", "-1", "99999999999999"):
            for asked in (client.process(pid), client.stack(pid)):
                assert (await refused(asked)) == (404, "no such process of this worker"), pid


async def test_strangers_are_refused_as_on_every_route(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client, aiohttp.ClientSession() as http:
        await until_ready(client)
        url = await until(client, lambda state: state.worker.url)
        pid = (await processes(client, "idle"))[0]["pid"]
        for method, path in (("GET", f"/processes/{pid}"), ("POST", f"/processes/{pid}/stack")):
            async with http.request(method, url + path, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 421
            async with http.request(method, url + path, headers={"Origin": "http://evil.example"}) as answer:
                assert answer.status == 403
            async with http.request(method, url + path) as answer:
                assert answer.status == 200


async def test_the_last_that_ended_are_told_with_their_cause(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "exit", code=3)
        found = await until(client, lambda state: job["process_id"] not in state.processes)
        assert found
        told = await client.process(job["pid"])
        late = await refused(client.stack(job["pid"]))
    assert (told["state"], told["ended"]["exit_code"], told["ended"]["signal"]) == ("dead", 3, None)
    assert (told["memory"], told["environment"]) == (None, None)
    assert told["history"][-1]["state"] == "dead"
    assert told["jobs"][0]["reason"] == "exited"
    assert late == (409, "the process has ended")


@defence(("workbench/supervisor/details.py", "while len(self._ended) > ENDED_KEPT:", "while False:"))
async def test_of_the_ended_the_last_fifty_are_kept(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "4")
    async with worker.client() as client:
        await until_ready(client)
        pids = [(await run(client, "return"))["pid"] for _ in range(54)]
        await until(client, lambda state: not any(p.pid in pids for p in state.processes.values()))
        first = await refused(client.process(pids[0]))
        last = await client.process(pids[-1])
    assert first[0] == 404
    assert last["state"] == "dead"


async def test_last_lines_and_the_dump_of_a_crash_are_kept(start_worker: Any) -> None:
    worker = start_worker("trouble.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "segfault")
        await until(client, lambda state: job["process_id"] not in state.processes)
        told = await client.process(job["pid"])
    assert told["ended"]["signal"] == "SIGSEGV"
    assert "trouble.py" in told["ended"]["why"]
    assert told["dump"]["file"] == str(AGENTS / "trouble.py")
    assert told["dump"]["name"] == "misbehave"


# --- secrets ------------------------------------------------------------------------------------------


async def test_no_secret_of_the_environment_is_told(start_worker: Any) -> None:
    given = {
        "OPENAI_API_KEY": SECRET, "DB_PASSWORD": f"{SECRET}-2", "DATABASE_URL": f"postgres://me:{SECRET}-3@db/x",
        "ENDPOINT": f"https://x/?token={SECRET}-4&room=7", "COPY": f"again {SECRET}", "HARMLESS": "plain words",
        "status": SECRET,
    }  # fmt: skip
    worker = start_worker("ledger.py", **given)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "helper", "helper")
        environment = Path(f"/proc/{job['pid']}/environ").read_text()
        wait_until(lambda: Path(f"/proc/{job['helper']}/cmdline").read_text(), "its program runs")
        found = await client.process(job["pid"])
        await client.end_job(job["job"])
        await until_ended(client, job["job"])
    assert SECRET in environment  # it is there
    assert SECRET not in json.dumps(found)
    shown = found["environment"]
    assert shown["OPENAI_API_KEY"] == shown["DB_PASSWORD"] == HIDDEN
    assert shown["DATABASE_URL"] == f"postgres://{HIDDEN}@db/x"
    assert shown["ENDPOINT"] == f"https://x/?token={HIDDEN}&room=7"
    assert shown["HARMLESS"] == "plain words"
    assert found["children"][0]["command"] == "sleep 600"


@defence(("workbench/server/processes.py", "and not request.app[GUARD].trusts(request)", "and False"))
@pytest.mark.parametrize("with_token", [False, True])
async def test_the_environment_is_told_only_to_who_could_read_it(
    start_worker: Any, tmp_path: Path, with_token: bool
) -> None:
    (tmp_path / "token").write_text("canary-token\n")
    options = ("--control-token-file", str(tmp_path / "token")) if with_token else ()
    worker = start_worker("ledger.py", *options, HARMLESS="plain words")
    async with worker.client() as client, aiohttp.ClientSession() as http:
        await until_ready(client)
        url = await until(client, lambda state: state.worker.url)
        pid = (await processes(client, "idle"))[0]["pid"]
        told = await client.process(pid)
        for given in (None, "", "Bearer ", "Bearer wrong", "Bearer None", "Basic canary-token", "Bearer canary-token"):
            headers = {"Authorization": given} if given is not None else {}
            async with http.get(f"{url}/processes/{pid}", headers=headers) as answer:
                found = await answer.json()
            assert answer.status == 200
            assert found["history"]
            if with_token and given == "Bearer canary-token":
                assert (found["environment"], found["environment_why"]) == (told["environment"], "")
            else:
                assert found["environment"] is None, given
                assert found["environment_why"] == "only over the worker's socket, or with its control token"
                assert "plain words" not in json.dumps(found)
        (tmp_path / "token").unlink()
        async with http.get(f"{url}/processes/{pid}", headers={"Authorization": "Bearer canary-token"}) as answer:
            assert (answer.status, (await answer.json())["environment"]) == (200, None)
    assert (told["environment"]["HARMLESS"], told["environment_why"]) == ("plain words", "")


def test_what_is_hidden_and_what_is_not() -> None:
    assert hidden_value("PATH", "/usr/bin:/bin") == "/usr/bin:/bin"
    assert hidden_value("PWD", "/srv") == "/srv"
    assert hidden_value("MYSQL_PWD", "x") == HIDDEN
    assert hidden_value("EMPTY_TOKEN", "") == ""
    assert hidden_value("CERT", "-----BEGIN PRIVATE KEY-----") == HIDDEN
    assert hidden_text("redis://:pw@host:6379/0") == f"redis://{HIDDEN}@host:6379/0"
    assert hidden_text("say sk-abcdefghijklmnop now") == f"say {HIDDEN} now"
    assert shown_command(["x", "--api-key", "abc", "--room", "7"], []) == f"x --api-key {HIDDEN} --room 7"
    assert shown_command(["x", "--token=abc", "-v"], []) == f"x --token={HIDDEN} -v"
    assert shown_command(["x", "abcdefgh"], ["abcdefgh"]) == f"x {HIDDEN}"
    assert shown_environment({"A_SECRET": "12345678", "B": "is 12345678."}) == {
        "A_SECRET": HIDDEN,
        "B": f"is {HIDDEN}.",
    }


@pytest.mark.parametrize(
    "name",
    "DB_PW DBPW PW ROOT_PW2 PIN CARD_PIN PIN_CODE CRED AWS_CREDS DB_CRED_JSON MNEMONIC WALLET_MNEMONIC HTTP_BASIC PASS "
    "DB_PASS SSH_PASSPHRASE COOKIE_JAR SESSION_ID MYSQL_PWD DBPWD --pin -pw pwd passwd X-Api-Key Authorization".split(),
)
def test_what_is_a_secret_by_its_name(name: str) -> None:
    assert hidden_value(name, "v") == HIDDEN


@pytest.mark.parametrize(
    "name",
    "PATH PWD OLDPWD PYTHONPATH HOME LANG SHELL TERM USER LOGNAME EDITOR TMPDIR MODEL PORT HOST SHOPWARE_URL "
    "PINECONE_URL MAPPING SPIN_RATE BASICALLY CREDIT_LIMIT PIP_INDEX_URL OPINION UPWARD --port -p -u --pinned".split(),
)
def test_what_is_no_secret_by_its_name(name: str) -> None:
    assert hidden_value(name, "v") == "v"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer s3cret", f"Bearer {HIDDEN}"),
        ("say BEARER  s3cret now", f"say BEARER  {HIDDEN} now"),
        ("basic czNjcmV0", f"basic {HIDDEN}"),
        ("authorization: Token s3cret, more s3cret", f"authorization: {HIDDEN}"),
        ('{"Authorization": "Digest s3cret"}', f'{{"Authorization": {HIDDEN}'),
        ("Proxy-Authorization:s3cret", f"Proxy-Authorization:{HIDDEN}"),
        ("X-Api-Key: s3cret", f"X-Api-Key: {HIDDEN}"),
        ("Content-Type: text/plain", "Content-Type: text/plain"),
        ("host=db password=s3cret port=1", f"host=db password={HIDDEN} port=1"),
        ("npm_s3cretabcdefghijklmnopqrstuv", HIDDEN),
        ("whsec_s3cretabcdefghijkl", HIDDEN),
        ("SG.s3cretabcdefghij.s3cretabc-defg", HIDDEN),
        ("xoxb-1234567890-s3cret", HIDDEN),
        ("xoxe-1234567890-s3cret", HIDDEN),
        ("xapp-1-A0-1234567890-s3cret", HIDDEN),
        ("pypi-s3cretabcdefghijklm", HIDDEN),
        ("ghp_s3cretabcdefghijklmnopqr", HIDDEN),
        ("eyJhbGciOiJI.eyJzdWIi.s3cret-_x", HIDDEN),
        ("https://hooks.slack.com/services/T0/B0/s3cret", f"https://hooks.slack.com/{HIDDEN}"),
        ("https://discord.com/api/webhooks/1/s3cret x", f"https://discord.com/api/webhooks/{HIDDEN} x"),
        ("postgres://me:s3cret@db/x?mail=a@b.c", f"postgres://{HIDDEN}@db/x?mail=a@b.c"),
        ("postgres://me:s3cret@s3cret@db/x", f"postgres://{HIDDEN}@db/x"),
        ("postgres://me:s3cret/s3cret@s3cret@db/x", f"postgres://{HIDDEN}@db/x"),
        ("postgres://me:s3cret s3cret@db/x", f"postgres://{HIDDEN}@db/x"),
        ("postgres://me@corp:s3cret/s3cret@db/x", f"postgres://{HIDDEN}@db/x"),
        ("postgres://me:s3cret?s3cret#s3cret@db/x", f"postgres://{HIDDEN}@db/x"),
        ("redis://:s3cret@a:1,redis://:s3cret@b:2", f"redis://{HIDDEN}@a:1,redis://{HIDDEN}@b:2"),
        ("https://s3cret@host/x", f"https://{HIDDEN}@host/x"),
        ("https://shop.example.org/@scope/x", "https://shop.example.org/@scope/x"),
        ("http://localhost:8080/x?y=1", "http://localhost:8080/x?y=1"),
        ("/usr/bin:/bin", "/usr/bin:/bin"),
    ],
)
def test_what_is_a_secret_by_its_form(text: str, shown: str) -> None:
    assert hidden_text(text) == hidden_value("HARMLESS", text) == shown


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["curl", "-u", "me:s3cret", "x"], f"curl -u {HIDDEN} x"),
        (["/usr/bin/curl", "-sSume:s3cret=s3cret", "x"], f"/usr/bin/curl -sSu{HIDDEN} x"),
        (["timeout", "5", "curl", "--user", "me:s3cret"], f"timeout 5 curl --user {HIDDEN}"),
        (["curl", "--user-agent", "me", "-o", "x"], "curl --user-agent me -o x"),
        (["docker", "run", "-u", "1000:1000"], "docker run -u 1000:1000"),
        (["mysql", "-ps3cret", "-u", "me", "db"], f"mysql -p{HIDDEN} -u me db"),
        (["mysqldump", "-p", "db"], "mysqldump -p db"),
        (["ssh", "-p2222", "host"], "ssh -p2222 host"),
        (["x", "--password", "-s3cret", "-v"], f"x --password {HIDDEN} -v"),
        (["x", "--auth", "--token", "s3cret", "-v"], f"x --auth {HIDDEN} {HIDDEN} -v"),
        (["curl", "-H", "Authorization: Bearer s3cret", "x"], f"curl -H Authorization: {HIDDEN} x"),
        (["curl", "-HAuthorization: s3cret", "x"], f"curl -HAuthorization: {HIDDEN} x"),
        (["curl", "-H", "X-Api-Key:s3cret", "x"], f"curl -H X-Api-Key: {HIDDEN} x"),
        (["curl", "-H", "Accept: text/html", "x"], "curl -H Accept: text/html x"),
        (["sh", "-c", "curl -u 'me:s3cret s3cret' x | head -1"], f"sh -c curl -u {HIDDEN} x | head -1"),
        (["bash", "-lc", "cd x; TOKEN=s3cret it's"], f"bash -lc cd x; TOKEN={HIDDEN} it's"),
        (["docker", "run", "--env=API_KEY=s3cret&s3cret"], f"docker run --env=API_KEY={HIDDEN}"),
        (["docker", "run", "--env=API_KEY="], "docker run --env=API_KEY="),
        (["x", "postgres://me:s3cret=s3cret@db/x"], f"x postgres://{HIDDEN}@db/x"),
        (["python", "-c", "print('a  b') - 1"], "python -c print('a  b') - 1"),
    ],
)
def test_what_is_a_secret_in_a_command_line(command: list[str], shown: str) -> None:
    assert shown_command(command, []) == shown


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["x=", "a.", "a://b:@", "-H ", "' -a ", '\\" -a ', "curl -u ", "eyJ-", "token= "])
def test_a_text_made_to_be_hard_to_read_is_read(piece: str) -> None:
    assert len(shown_command(["sh", "-c", piece * 1000, piece], [])) <= 200
    assert len(shown_environment({"HARMLESS": piece * 20_000})["HARMLESS"]) <= 512


# --- stack dumps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "function"),
    [
        ("sleep", "sleeps"),
        ("compute", "computes"),
        ("hold the lock", "holds_the_lock_of_the_interpreter"),
    ],
)
@defence(("workbench/supervisor/stacks.py", "child.signal(DUMP_SIGNAL, group=False)", "pass"))
async def test_a_process_whose_loop_stands_still_tells_where(start_worker: Any, do: str, function: str) -> None:
    worker = start_worker("running.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, do)
        found = await client.stack(job["pid"])
        again = await asyncio.gather(*(client.stack(job["pid"]) for _ in range(3)))
        told = await client.process(job["pid"])
    first = line_of(function)
    assert found["file"] == str(AGENTS / "running.py")
    assert (found["name"], first <= found["number"] <= first + 1) == (function, True)
    assert found["lines"][0].startswith("Current thread ")
    for one in (*again, told["dump"]):
        assert one["name"] == function
        assert sum(line.startswith("Current thread ") for line in one["lines"]) == 1


async def test_a_loop_that_turns_tells_its_tasks(start_worker: Any) -> None:
    worker = start_worker("running.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait for ever")
        found = await client.stack(job["pid"])
        lines = [line.text for line in await _log(client)]
        await client.end_job(job["job"])
    number = next(n for n, line in enumerate(SOURCE, 1) if "await asyncio.Event().wait()" in line)
    assert f'  File "{AGENTS / "running.py"}", line {number} in wait_for_ever' in found["tasks"]
    assert (found["name"], found["number"]) == ("wait_for_ever", number)
    assert not any("most recent call first" in line for line in lines)  # an answer is no warning of the log


async def _log(client: Any) -> list[Any]:
    async with asyncio.timeout(20):
        async for frame in client.frames(log_tail=1000):
            if frame.lines:
                return list(frame.lines)
    raise AssertionError("no lines")


async def test_a_process_that_is_stopped_gives_no_dump_and_says_so(start_worker: Any) -> None:
    worker = start_worker("running.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait for ever")
        os.kill(job["pid"], signal.SIGSTOP)
        try:
            status, words = await refused(client.stack(job["pid"]))
        finally:
            os.kill(job["pid"], signal.SIGCONT)
        found = await client.stack(job["pid"])
        await client.end_job(job["job"])
    assert (status, "no stack dump came within 2 s" in words) == (504, True)
    assert found["name"] == "wait_for_ever"


async def test_the_dump_of_a_stall_is_kept_with_the_history(start_worker: Any) -> None:
    worker = start_worker("running.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "sleep")
        await until(client, lambda state: any(p.stack for p in state.processes.values()))
        found = await client.process(job["pid"])
    assert found["history"][-1]["state"] == "stalled"
    assert found["history"][-1]["why"].endswith("in sleeps")
    assert found["dump"]["name"] == "sleeps"
    assert found["at"] - 60 < found["dump"]["at"] <= found["at"]
