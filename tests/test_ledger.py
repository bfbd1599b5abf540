"""What the tests believe of the jobs' own words."""

import json
from pathlib import Path

import pytest

from tests.ledger import entries


def test_a_line_that_is_half_written_is_not_read_yet(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert entries(ledger) == []
    lines = "".join(f'{{"n": {n}, "what": "café"}}\n' for n in range(3)).encode()
    for size in range(len(lines) + 1):
        ledger.write_bytes(lines[:size])
        assert [entry["n"] for entry in entries(ledger)] == list(range(lines[:size].count(b"\n")))


def test_a_whole_line_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text('{"n": 1\n{"n": 2}\n')
    with pytest.raises(json.JSONDecodeError):
        entries(ledger)
