"""Whatever is handed in from outside: any option, any body, any text. Refused in words, never obeyed, never a crash."""

import http.client
import json
import math
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import WAIT_S, Worker, wait_until
from workbench import Options, OptionsError
from workbench.cli.layers import read_layers
from workbench.model.errors import UsageError
from workbench.model.jsontext import MAX_DEPTH, dump, parse, plain
from workbench.model.options import FIELDS, SECRETS, check, shown
from workbench.model.settings import Layers
from workbench.model.text import clean_lines, clean_text
from workbench.server.guard import host_of

ANY_TEXT = st.text(st.characters(), max_size=80)  # lone surrogates and control characters, too
NASTY_TEXT = st.lists(
    st.sampled_from(
        ["\x1b[31m", "\x1b]0;t\x07", "\x1b", "\x9b31m", "\x00", "\r", "\n", "\t", "\x7f", "\u202e", "\u2066", "\u200b",
         "\ud800", "\ufeff", "\u2028", "\ufe0f", "[red]", "a", "é", "\U0001f600", "\U000e0041", " … +9 characters"]
    ),
    max_size=60,
).map("".join)  # fmt: skip
NUMBERS = st.integers(-3, 3) | st.integers(10**6, 10**30) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(sorted(FIELDS)) | ANY_TEXT
# What a terminal or a reader of lines would act on: control characters, bidi, separators, surrogates.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


# --- text --------------------------------------------------------------------------------------------


@given(ANY_TEXT | NASTY_TEXT, st.sampled_from([1, 16, 40, 63, 64, 65, 200, 8192]))
def test_clean_text_has_nothing_to_obey_and_is_clean_already(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit)
    assert not CONTROL.search(cleaned)
    assert len(cleaned) <= limit
    assert clean_text(cleaned, limit) == cleaned
    cleaned.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=64))
def test_clean_text_leaves_ordinary_text_alone(text: str) -> None:
    assert clean_text(text) == text


def test_clean_text_says_how_much_it_left_out() -> None:
    assert clean_text("x" * 100_000).endswith(" … +91840 characters")
    assert clean_text("x" * 17, 16) == "x" * 15 + "…"
    assert clean_lines("a\r\nb\x1b[2Jc") == ["a", "bc"]


# --- JSON --------------------------------------------------------------------------------------------


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_parsing_json_gives_a_value_everybody_can_read_or_a_value_error(text: str | bytes) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(JSON)
def test_what_is_dumped_is_json_for_everybody(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(dump(value), parse_constant=refuse)
    assert plain(value) == json.loads(dump(value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ("1e999", "out of range"),
        ("[" * 100_000, "nested deeper"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested deeper"),
        ("9" * 5000, "limit"),
        (b"\xff", "utf-8"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_refused_says_why(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse(text)


# --- options -----------------------------------------------------------------------------------------


@given(NAMES, JSON | ANY_TEXT, st.booleans(), ANY_TEXT)
def test_checking_an_option_gives_a_value_or_an_options_error(name: str, value: Any, text: bool, source: str) -> None:
    try:
        taken = check(name, value, text=text, source=source)
    except OptionsError as refused:
        assert refused.exit_code == 2
        assert refused.problems[0][0] == name
        return
    json.dumps(shown(name, taken), allow_nan=False, default=str)
    if name in SECRETS and isinstance(value, str) and len(value) > 4:
        assert value not in str(shown(name, taken))


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_options_takes_or_refuses_any_values(values: dict[str, Any]) -> None:
    try:
        options = Options(**values)
    except OptionsError:
        return
    json.dumps(options.given())


@given(
    values=st.dictionaries(st.sampled_from(sorted(FIELDS)), NUMBERS | ANY_TEXT, min_size=1, max_size=3),
    layer=st.sampled_from(["flag", "environment", "code", "live"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_layer_says_whose_value_it_refuses(
    values: dict[str, Any], layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        if layer == "environment":
            names = {f"WORKBENCH_{name.upper()}": str(value) for name, value in values.items()}
            monkeypatch.setattr("os.environ", names)
            read_layers(tmp_path, None, {}, "x").settings()
        elif layer == "flag":
            monkeypatch.setattr("os.environ", {})
            read_layers(tmp_path, None, {name: str(value) for name, value in values.items()}, "x").settings()
        else:
            layers = Layers()
            layers.put(layer, values, "here")
            layers.settings()
    except OptionsError as refused:
        assert all(name in FIELDS for name, _ in refused.problems)


@given(text=st.text(st.characters(), max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_configuration_file_is_read_or_refused(tmp_path: Path, text: str) -> None:
    for body in (text, f"[tool.workbench]\n{text}", f"max_processes = {text}"):
        (tmp_path / "workbench.toml").write_bytes(body.encode("utf-8", "surrogatepass"))
        try:
            read_layers(tmp_path, None, {}, "x").settings()
        except UsageError as refused:
            assert "workbench.toml" in str(refused)


def test_infinity_is_shown_as_null() -> None:
    assert shown("load_threshold", math.inf) is None


# --- routes ------------------------------------------------------------------------------------------


class Wire(http.client.HTTPConnection):
    """HTTP over a worker's unix socket, byte for byte as given."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=WAIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)

    def __del__(self) -> None:
        self.close()

    def send_json(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer; every answer must be JSON for everybody."""
        self.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def _ready(worker: Worker) -> bool:
    return Wire(worker.socket).send_json("GET", "/worker", b"")[1]["status"] == "ready"


def _bodies(*names: str) -> st.SearchStrategy[bytes]:
    fields = st.dictionaries(st.sampled_from(names) | ANY_TEXT, JSON, max_size=4)
    return (fields | JSON).map(lambda body: json.dumps(body).encode()) | st.binary(max_size=40)


FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_any_body_is_taken_or_refused_by_the_routes(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker("ledger.py", "--max-processes", "3")
    wait_until(lambda: _ready(worker), "it takes jobs")
    wire = Wire(worker.socket)
    status, _ = wire.send_json("POST", "/jobs", b'{"room_id": "talk", "metadata": {"do": "echo"}, "force": true}')
    assert status == 202

    @FEW
    @given(_bodies("room_id", "metadata", "force"))
    def dispatch(body: bytes) -> None:
        status, answer = wire.send_json("POST", "/jobs", body)
        assert status in (202, 400, 409, 413, 503), answer
        assert "id" in answer if status == 202 else answer["error"]

    @FEW
    @given(_bodies("text", "sender", "data"))
    def say(body: bytes) -> None:
        status, answer = wire.send_json("POST", "/rooms/talk/messages", body)
        assert status in (201, 400), answer

    @FEW
    @given(st.sampled_from(["jobs", "rooms", "processes", "options"]), ANY_TEXT, st.sampled_from(["GET", "DELETE"]))
    def ask(kind: str, name: str, method: str) -> None:
        quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
        status, answer = wire.send_json(method, f"/{kind}/{quoted}?limit={quoted}&after={quoted}", b"")
        assert 400 <= status < 500, answer
        assert answer["error"]

    dispatch(), say(), ask()
    assert wire.send_json("GET", "/stats", b"")[0] == 200
    assert wire.send_json("GET", "/rooms/talk/messages", b"")[0] == 200
    worker.process.send_signal(signal.SIGTERM)
    Wire(worker.socket).send_json("POST", "/rooms/talk/messages", b'{"text": "bye"}')
    wire.send_json("DELETE", f"/jobs/{_running(wire)}", b"")
    assert worker.ended() == 0
    assert "a bug of ours" not in worker.output()
    assert "Traceback" not in worker.output()


def _running(wire: Wire) -> str:
    (job,) = wire.send_json("GET", "/jobs?status=running", b"")[1]["jobs"]
    return str(job["id"])


def test_any_live_change_is_taken_or_refused_as_a_whole(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker("ledger.py")
    wait_until(lambda: _ready(worker), "it takes jobs")
    wire = Wire(worker.socket)

    @FEW
    @given(_bodies(*FIELDS))
    def change(body: bytes) -> None:
        before = wire.send_json("GET", "/options", b"")[1]
        status, answer = wire.send_json("PATCH", "/options", body)
        assert status in (200, 400, 409), answer
        if status != 200:
            assert answer["error"]
            assert wire.send_json("GET", "/options", b"")[1] == before

    change()
    assert wire.send_json("PATCH", "/options", b'{"load_threshold": null}')[0] == 200
    assert wire.send_json("GET", "/options", b"")[1]["load_threshold"]["value"] is None
    assert wire.send_json("PATCH", "/options", b'{"load_threshold": 0.5}')[0] == 200
    assert "a bug of ours" not in worker.output()


def test_a_job_that_nests_deep_does_not_spoil_the_answers_for_others(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker("ledger.py")
    wait_until(lambda: _ready(worker), "it takes jobs")
    wire = Wire(worker.socket)
    for depth, expected in ((MAX_DEPTH // 2, 202), (900, 400), (5000, 400)):
        body = b'{"metadata": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        assert wire.send_json("POST", "/jobs", body)[0] == expected
        assert wire.send_json("GET", "/stats", b"")[0] == 200


MALFORMED = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x1b[31mGET / HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
]


def test_a_malformed_request_is_refused_and_leaves_no_trace_in_the_log(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker("ledger.py")
    for request in MALFORMED:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(WAIT_S)
            line.connect(worker.socket)
            line.sendall(request)
            assert line.recv(4096).split(b" ")[1] == b"400", request[:30]
    wait_until(lambda: _ready(worker), "it takes jobs")
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    assert all(json.loads(line)["level"] in ("INFO", "WARNING") for line in worker.output().splitlines())


@given(st.sampled_from(["localhost", "127.0.0.1", "[::1]", "evil", "a.b"]), st.text(max_size=8))
def test_a_host_header_is_a_name_and_a_port_or_nothing(host: str, rest: str) -> None:
    found = host_of(host + rest)
    name = host.strip("[]")
    if found == name:
        assert re.fullmatch(r"\.*|:\d{1,5}", rest)
    assert host_of(f"{host}:8081") == name
