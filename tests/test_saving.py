"""Options written into the project's file: every byte that was there stays, and the next start reads them."""

import asyncio
import math
import os
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AGENTS
from tests.test_cli import agent_file, workbench
from tests.workers import begin, until_ready
from workbench.cli.layers import read_layers
from workbench.tui.saving import CannotSave, edited, save

LONG = """\
# The shop's worker.
#   nights: see runbook

max_processes = 5        # one for each till
load_threshold=0.70
log_level = 'INFO'

# not an option of ours
[tool.other]
max_processes = 99
words = [
  "a",  # first
  "b",
]
"""

OWN = [
    ("", {"max_processes": 3}, "max_processes = 3\n"),
    ("# only words\n", {"max_processes": 3}, "# only words\nmax_processes = 3\n"),
    ("# no end of line", {"max_processes": 3}, "# no end of line\nmax_processes = 3\n"),
    ("port = 1", {"max_processes": 3}, "port = 1\nmax_processes = 3\n"),
    (
        LONG,
        {"max_processes": 7, "memory_limit_mb": 300.0, "load_threshold": 0.7, "log_level": "DEBUG"},
        LONG.replace("max_processes = 5 ", "max_processes = 7 ", 1).replace(
            "'INFO'\n", '"DEBUG"\nmemory_limit_mb = 300\n'
        ),
    ),
    (
        "# about the table\n[tool.workbench]\nport = 1   # p\n\n# about the next\n[tool.x]\na = 1\n",
        {"port": 2, "max_processes": 3, "load_threshold": math.inf},
        "# about the table\n[tool.workbench]\nport = 2   # p\nmax_processes = 3\nload_threshold = inf\n\n"
        "# about the next\n[tool.x]\na = 1\n",
    ),
    (
        "# head\n\n# about the table\n[tool.x]\na = 1\n",
        {"register": True},
        "# head\n\nregister = true\n\n# about the table\n[tool.x]\na = 1\n",
    ),
    ("[tool.x]\na = 1\n", {"job_timeout": 1.5}, "job_timeout = 1.5\n\n[tool.x]\na = 1\n"),
    (  # the top counts, and not the table
        "port = 1\n[tool.workbench]\nport = 2\nhost = 'a'\n",
        {"port": 3, "host": "b"},
        "port = 3\n[tool.workbench]\nport = 2\nhost = \"b\"\n",
    ),
    (
        "tool.workbench.port = 1 # p\n",
        {"port": 2, "host": "::"},
        'tool.workbench.port = 2 # p\ntool.workbench.host = "::"\n',
    ),
    ("  port = 1\n", {"max_processes": 3}, "  port = 1\n  max_processes = 3\n"),
    ("port = 1\r\n# a\r\n", {"port": 2, "max_processes": 3}, "port = 2\r\nmax_processes = 3\r\n# a\r\n"),
    ("\ufeffport = 1\n", {"port": 2}, "\ufeffport = 2\n"),
    ('host = "ü\\u00e4"  # ö\n', {"port": 2}, 'host = "ü\\u00e4"  # ö\nport = 2\n'),
]  # fmt: skip

PROJECT = [
    (
        "[project]\nname = 'x'   # name\n\n[tool.workbench]   # ours\nport = 1\n\n"
        "# about ruff\n[tool.ruff]\nline-length = 120\n",
        {"port": 2, "max_processes": 3},
        "[project]\nname = 'x'   # name\n\n[tool.workbench]   # ours\nport = 2\nmax_processes = 3\n\n"
        "# about ruff\n[tool.ruff]\nline-length = 120\n",
    ),
    (
        "max_processes = 9\n[tool.workbench]\n",
        {"max_processes": 3},
        "max_processes = 9\n[tool.workbench]\nmax_processes = 3\n",
    ),
    (
        "[tool]\nworkbench = { port = 1 } # w\n[tool.a]\nb = 1\n",
        {"max_processes": 3},
        "[tool]\nworkbench = { port = 1, max_processes = 3} # w\n[tool.a]\nb = 1\n",
    ),
    (
        "[tool.workbench]\nport = 1\n[project]\nname = 'x'\n[tool.a]\nb = 1\n",
        {"max_processes": 3},
        "[tool.workbench]\nport = 1\nmax_processes = 3\n[project]\nname = 'x'\n[tool.a]\nb = 1\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "values", "after"), OWN)
def test_a_workbench_toml_keeps_every_byte_that_is_not_of_the_value(
    tmp_path: Path, before: str, values: dict[str, Any], after: str
) -> None:
    file = tmp_path / "workbench.toml"
    file.write_bytes(before.encode())
    saved = save(tmp_path, values)
    assert file.read_bytes().decode() == after
    assert saved.path == file
    assert edited(after, values, own=True) == after, "what is there already changes nothing"
    given = read_layers(tmp_path, None, {}, "bot").by_name["file"] if "tool.x" not in before else {}
    for name, value in values.items() if given else ():
        assert given[name].value == value
        assert given[name].source.startswith("workbench.toml:")


@pytest.mark.parametrize(("before", "values", "after"), PROJECT)
def test_a_table_of_a_pyproject_toml_likewise(tmp_path: Path, before: str, values: dict[str, Any], after: str) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(before.encode())
    assert save(tmp_path, values).path == file
    assert file.read_bytes().decode() == after
    given = read_layers(tmp_path, None, {}, "bot").by_name["file"]
    assert {name: given[name].value for name in values} == values


def test_the_file_that_counts_is_the_one_that_is_written(tmp_path: Path) -> None:
    project, own = tmp_path / "pyproject.toml", tmp_path / "workbench.toml"
    project.write_text("[project]\nname = 'x'\n")
    assert save(tmp_path, {"port": 1}).path == own
    assert (project.read_text(), own.read_text()) == ("[project]\nname = 'x'\n", "port = 1\n")
    project.write_text("[tool.workbench]\nport = 5\n")
    assert save(tmp_path, {"port": 2}).lines == ["port = 2"]
    assert (project.read_text(), own.read_text()) == ("[tool.workbench]\nport = 5\n", "port = 2\n")
    own.unlink()
    project.write_text("this is no TOML")
    assert save(tmp_path, {"port": 3}).path == own
    assert project.read_text() == "this is no TOML"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_mode_and_links_are_kept_and_nothing_else_is_left(tmp_path: Path, mode: int) -> None:
    folder, elsewhere = tmp_path / "project", tmp_path / "etc"
    folder.mkdir(), elsewhere.mkdir()
    real = elsewhere / "shop.toml"
    real.write_text("port = 1 # p\n")
    real.chmod(mode)
    (folder / "workbench.toml").symlink_to("../etc/shop.toml")
    before = real.stat().st_ino
    save(folder, {"port": 2})
    assert (folder / "workbench.toml").is_symlink()
    assert real.read_text() == "port = 2 # p\n"
    assert stat.S_IMODE(real.stat().st_mode) == mode
    assert real.stat().st_ino != before, "replaced as a whole: a reader sees the old or the new one"
    assert [path.name for path in (*folder.iterdir(), *elsewhere.iterdir())] == ["workbench.toml", "shop.toml"]
    inode = real.stat().st_ino
    save(folder, {"port": 2})
    assert real.stat().st_ino == inode, "nothing to write"


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save(tmp_path, {"port": 2})
    assert (tmp_path / "workbench.toml").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"port = = 1\n", "is no TOML"),
        (b"port = 1\nport = 2\n", "is no TOML"),
        (b"\xff\xfe", "it is no text in UTF-8"),
        (b"#" * (1024 * 1024 + 1), "is larger than 1 MB"),
        (b"max_processes.x = 1\n", ""),
    ],
)
def test_what_cannot_be_understood_is_left_as_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "workbench.toml"
    file.write_bytes(content)
    if words:
        with pytest.raises(CannotSave, match=words):
            save(tmp_path, {"port": 2})
        assert file.read_bytes() == content
    else:  # a table where the option should be gives way
        save(tmp_path, {"max_processes": 2})
        assert tomllib.loads(file.read_text()) == {"max_processes": 2}
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotSave, match="there is no folder"):
        save(tmp_path / "gone", {"port": 2})
    (tmp_path / "workbench.toml").symlink_to("nowhere/shop.toml")
    with pytest.raises(CannotSave, match=r"cannot write .*nowhere/shop.toml: No such file or directory"):
        save(tmp_path, {"port": 2})
    (tmp_path / "workbench.toml").unlink()
    (tmp_path / "workbench.toml").mkdir()
    with pytest.raises(CannotSave, match=r"cannot read .*: Is a directory"):
        save(tmp_path, {"port": 2})


@pytest.mark.parametrize("text", ["a = {b=1\n}\n", "a = 1\na = 2\n", "port\n"])
def test_a_file_that_only_one_reader_takes_for_toml_stays_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "workbench.toml").write_text(text)
    with pytest.raises(CannotSave, match="is no TOML"):
        save(tmp_path, {"port": 2})
    assert (tmp_path / "workbench.toml").read_text() == text


@pytest.mark.skipif(not os.geteuid(), reason="root writes what is read-only")
def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "workbench.toml"
    file.write_text("port = 1\n")
    file.chmod(0o444)
    with pytest.raises(CannotSave, match="is read-only"):
        save(tmp_path, {"port": 2})
    assert file.read_text() == "port = 1\n"


async def test_the_next_start_has_what_was_saved_and_says_where_from(start_worker: Any, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("defects.py", "ledger.py"):
        shutil.copy(AGENTS / name, folder)
    (folder / "workbench.toml").write_text("# shop\njob_timeout = 60\n")
    worker = start_worker(folder / "defects.py")
    async with worker.client() as client:
        await until_ready(client)
        about = (await client.request("GET", "/stats"))["worker"]
        assert about["folder"] == str(folder)
        table = await client.set_options({"max_processes": 1})
        save(Path(about["folder"]), {name: item["value"] for name, item in table.items() if item["origin"] == "live"})
    worker.process.terminate()
    await asyncio.to_thread(worker.ended)
    again = start_worker(folder / "defects.py")
    async with again.client() as client:
        await until_ready(client)
        item = (await client.options())["max_processes"]
        assert (item["value"], item["origin"]) == (1, "workbench.toml:3")
        await begin(client, again, "wait")
        with pytest.raises(Exception, match="max_processes 1"):
            await client.dispatch()


def test_workbench_options_names_the_saved_line(tmp_path: Path) -> None:
    agent_file(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.workbench]\nport = 1\n")
    save(tmp_path, {"max_processes": 4})
    run: subprocess.CompletedProcess[str] = workbench(tmp_path, "options", "bot.py")
    assert [line.split() for line in run.stdout.splitlines() if line.startswith("max_processes")] == [
        ["max_processes", "4", "processes", "pyproject.toml:3"]
    ]
