"""The parts of the watch, each against real files: patterns, folders, versions, mounts, writers, and the guard."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.defences import defence
from workbench.supervisor.watching import guard as guards
from workbench.supervisor.watching.files import Code, Files
from workbench.supervisor.watching.guard import ALL_THE_TIME, WRITTEN_BY_LOADING, Guard
from workbench.supervisor.watching.mounts import foreign
from workbench.supervisor.watching.patterns import Pattern
from workbench.supervisor.watching.tree import Tree
from workbench.supervisor.watching.versions import same, version_of
from workbench.supervisor.watching.writers import writers_of

GUARD = "workbench/supervisor/watching/guard.py"
EXONERATE = "self._row.clear()\n        self._held = self._tried = None"
PROJECT = (
    ".env", "bot.py", "prompts/a.md", "prompts/b.txt", "prompts/old/c.md", "prompts/old/d/e.md", "data/[id].json",
    "data/i.json", ".venv/lib/x.md", "env/pyvenv.cfg", "env/y.md", "node_modules/z/readme.md", ".git/HEAD.md",
    "prompts/.a.md.swp", "prompts/a.md~", "prompts/.#a.md", "prompts/#a.md#", "prompts/4913", "prompts/x.tmp",
    "prompts/.goutputstream-AB12", "prompts/__pycache__/a.pyc", "prompts/.ruff_cache/f.md",
)  # fmt: skip


def made(root: Path, names: Iterable[str] = PROJECT) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def found(root: Path, *patterns: str) -> list[str]:
    tree = Tree([Pattern.parse(given, str(root)) for given in patterns])
    tree.look()
    assert tree.files == {str(file) for file in root.rglob("*") if file.is_file() and tree.matches(str(file))} - {
        str(root / "env" / "pyvenv.cfg"), str(root / "env" / "y.md"),  # which only a look into the folder tells
    }  # fmt: skip
    return sorted(os.path.relpath(file, root) for file in tree.files)


@pytest.mark.parametrize(
    ("pattern", "means"),
    [
        (".env", [".env"]),
        ("prompts/*.md", ["prompts/a.md"]),
        ("prompts", ["prompts/a.md", "prompts/b.txt", "prompts/old/c.md", "prompts/old/d/e.md"]),
        ("prompts/", ["prompts/a.md", "prompts/b.txt", "prompts/old/c.md", "prompts/old/d/e.md"]),
        ("prompts/**", ["prompts/a.md", "prompts/b.txt", "prompts/old/c.md", "prompts/old/d/e.md"]),
        ("prompts/**/*.md", ["prompts/a.md", "prompts/old/c.md", "prompts/old/d/e.md"]),
        ("**/d/*", ["prompts/old/d/e.md"]),
        ("*/o?d/[cd].md", ["prompts/old/c.md"]),
        ("*", [".env", "bot.py"]),
        ("**/*.md", ["prompts/a.md", "prompts/old/c.md", "prompts/old/d/e.md"]),
        ("data/[id].json", ["data/[id].json"]),
        ("data/[i].json", ["data/i.json"]),
        ("data/../prompts/*.txt", ["prompts/b.txt"]),
        ("prompts/x.tmp", ["prompts/x.tmp"]),
        (".venv/lib/*.md", [".venv/lib/x.md"]),
        ("none/**", []),
    ],
)
@defence(("workbench/supervisor/watching/patterns.py", "return name in EXCLUDED or any(", "return any([]) and any("))
def test_a_pattern_means_these_files(tmp_path: Path, pattern: str, means: list[str]) -> None:
    assert found(made(tmp_path), pattern) == means


@defence(("workbench/supervisor/watching/tree.py", "== ENVIRONMENT for", "== '' for"))
def test_an_environment_is_known_by_its_mark(tmp_path: Path) -> None:
    assert "env/y.md" not in found(made(tmp_path), "**/*.md")


def test_a_pattern_may_lie_outside_of_the_project(tmp_path: Path) -> None:
    outside = made(tmp_path / "outside", ["a.md", "b/c.md"])
    tree = Tree([Pattern.parse(f"{outside}/**/*.md", str(tmp_path / "project"))])
    tree.look()
    assert tree.files == {str(outside / "a.md"), str(outside / "b" / "c.md")}


@defence(("workbench/supervisor/watching/tree.py", "(not is_link or", "(True or"))
def test_links_in_a_circle_are_walked_once(tmp_path: Path) -> None:
    made(tmp_path, ["prompts/a.md"])
    (tmp_path / "prompts" / "again").symlink_to(tmp_path)
    tree = Tree([Pattern.parse("**/*.md", str(tmp_path))])
    tree.look()
    assert tree.files == {str(tmp_path / "prompts" / "a.md")}


def test_files_and_folders_that_come_and_go_are_followed(tmp_path: Path) -> None:
    tree = Tree([Pattern.parse("prompts/**/*.md", str(tmp_path))])
    tree.look()
    assert not tree.files
    for name in ("prompts/a.md", "prompts/deep/b.md"):
        made(tmp_path, [name])
        tree.look()
        assert str(tmp_path / name) in tree.files
        assert str((tmp_path / name).parent) in tree.folders
    os.rename(tmp_path / "prompts" / "deep", tmp_path / "away")
    tree.look()
    assert tree.files == {str(tmp_path / "prompts" / "a.md")}


def test_a_look_at_two_thousand_files_lists_no_folder_that_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, [f"d{folder}/f{file}.md" for folder in range(40) for file in range(50)])
    files = Files(str(tmp_path / "bot.py"), [Pattern.parse("**", str(tmp_path))])
    code = Code(frozenset({str(tmp_path / "bot.py")}), False, time.time() + 60)
    files.look(code)
    time.sleep(0.03)  # until no folder's time of change can be that of another change
    files.look(code)
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scandir(folder))
    for _ in range(5):
        assert files.look(code) == set()
    assert not listed
    assert len(files) == 2001
    (tmp_path / "d3" / "new.md").touch()
    assert files.look(code) == {str(tmp_path / "d3" / "new.md")}
    assert listed == [str(tmp_path / "d3")]


@defence(
    ("workbench/supervisor/watching/versions.py", "    return one.digest == other.digest", "    return False"),
    ("workbench/supervisor/watching/versions.py", "return one.stamp == other.stamp", "return True"),
)
def test_versions_are_told_apart_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = made(tmp_path, ["a"]) / "a"
    before = version_of(str(file))
    os.utime(file, (1, 1))
    assert same(before, version_of(str(file)))
    file.write_text("b")
    assert not same(before, version_of(str(file)))
    large = version_of(str(file), most_bytes=0)
    assert same(large, version_of(str(file), most_bytes=0))
    file.write_text("cc")
    assert not same(large, version_of(str(file), most_bytes=0))


@defence(("workbench/supervisor/watching/files.py", "stamp == seen.stamp and not seen.fresh", "stamp == seen.stamp"))
def test_two_saves_within_one_step_of_the_clock_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = made(tmp_path, ["a.py"]) / "a.py"
    files, code = Files(str(file), []), Code(frozenset({str(file)}), False, time.time() + 60)
    stamp = (time.time_ns(), time.time_ns(), 4, 1, 1)
    for module in ("files", "versions"):  # a clock of files that stands still
        monkeypatch.setattr(f"workbench.supervisor.watching.{module}.stamp_of", lambda _: stamp)
    files.look(code)
    file.write_text("b.py")
    assert files.look(code) == {str(file)}


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert version_of(str(tmp_path / "pipe")) is None


MOUNTINFO = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:30 / {root}/share rw,relatime shared:1 - nfs4 host:/x rw
31 27 0:31 / {root}/share/local rw,relatime - overlay overlay rw
32 27 0:32 / {root}/with\\040space rw,relatime master:2 - fuse.sshfs host: rw
33 27 0:33 / {root}/twice rw,relatime - 9p x rw
34 27 0:34 / {root}/twice rw,relatime - tmpfs x rw
35 27 0:35 / {root}/disk rw,relatime - fuseblk /dev/sdb1 rw
"""


def test_folders_on_foreign_file_systems_are_found(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO.format(root=tmp_path))
    for name in ("share/local", "shared", "with space/x", "twice", "disk"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "share")

    def told(*names: str) -> str:
        return foreign([str(tmp_path / name) for name in names], str(table))

    assert told("share") == told("link") == told("shared", "share") == f"nfs4 at {tmp_path}/share"
    assert told("with space/x") == f"fuse.sshfs at {tmp_path}/with space"
    assert told("share/local", "shared", "twice", "disk") == ""
    assert foreign([str(tmp_path)], str(tmp_path / "none")) == ""
    assert foreign([str(tmp_path)]) == ""  # of this machine


@defence(("workbench/supervisor/watching/writers.py", "int(line.split()[1], 8) & WRITES", "True"))
def test_who_holds_a_file_open_to_write_is_found(tmp_path: Path) -> None:
    made(tmp_path, ["read", "written", "shut"])
    (tmp_path / "link").symlink_to(tmp_path / "written")
    files = [str(tmp_path / name) for name in ("read", "written", "link", "shut", "none")]
    with open(tmp_path / "read"), open(tmp_path / "written", "a"):
        open(tmp_path / "shut", "a").close()
        assert writers_of(files, [1 << 22, os.getpid()]) == {files[1]: os.getpid(), files[2]: os.getpid()}
    assert writers_of(files, [os.getpid()]) == {}


# --- the guard: times are given ------------------------------------------------------------------------

A, B = "a.json", "b.json"


class Story:
    """A guard, and generations that take 0.2 s unless it is said how long."""

    def __init__(self, code: set[str] | None = None, *, takes_s: float = 0.2) -> None:
        self.guard, self.now, self.code, self.takes_s = Guard(), 1000.0, code or set(), takes_s
        self.loads, self.pending, self.suspended = 0, set[str](), dict[str, str]()
        self.settles_at = 0.0

    def after(self, seconds: float, *changed: str) -> bool:
        """Files change; whether something was loaded for it."""
        self.now += seconds
        fresh = set(changed) - self.suspended.keys()
        self.pending |= fresh
        if fresh and self.now > self.settles_at:
            self.guard.exonerate()  # as the watch does
        verdict = self.guard.judge(self.pending, fresh, self.code, self.now)
        self.suspended.update(verdict.suspend)
        if not verdict.load:
            self.pending -= self.suspended.keys()
            return False
        self.pending, self.loads = set(), self.loads + 1
        self.guard.began(self.now)
        self.settles_at = self.now + self.takes_s
        return True

    def until_quiet(self) -> bool:
        """Ask again when the guard wants to be asked."""
        assert self.guard.due is not None
        return self.after(max(0.0, self.guard.due - self.now) + 0.01)


def test_a_file_written_by_loading_is_suspended_after_one_trial() -> None:
    story = Story()
    assert all([story.after(60, A), *(story.after(0.1, A) for _ in range(guards.IN_A_ROW - 1))])
    assert not story.after(0.1, A)
    assert story.until_quiet()
    assert not story.after(0.1, A)
    assert story.suspended == {A: WRITTEN_BY_LOADING}
    assert not story.after(0.1, A)
    assert story.after(0.1, B)


def test_slow_imports_that_end_with_a_write_are_found_too() -> None:
    story = Story({A}, takes_s=8.0)
    for _ in range(guards.IN_A_ROW + 1):
        story.after(7.5, A)
    assert story.until_quiet()
    story.after(7.3, A)
    assert story.suspended == {A: WRITTEN_BY_LOADING}


def test_of_files_written_together_all_are_suspended() -> None:
    story = Story(takes_s=2.0)
    for files in ([A, B], [A, B], [A], [A, B], [A, B], [A, B], [A, B]):
        story.after(0.1, *files)
    assert story.until_quiet()
    story.after(0.1, A, B)
    assert story.suspended == {A: WRITTEN_BY_LOADING}
    for _ in range(guards.IN_A_ROW):
        story.after(0.1, B)
    assert story.until_quiet()
    story.after(0.1, B)
    assert set(story.suspended) == {A, B}


@defence((GUARD, EXONERATE, "pass"))
def test_what_changes_while_nothing_is_loaded_is_somebodys_work() -> None:
    story = Story({A})
    for _ in range(guards.IN_A_ROW + 1):
        story.after(0.1, A)
    loads = story.loads
    assert not story.after(0.1, A)  # the generation on its way may have done this
    assert story.after(2.0, A)
    assert (story.loads, story.suspended) == (loads + 1, {})


@defence((GUARD, "self._held, self._tried = None, held", "self._held = None"))
@pytest.mark.parametrize("saves", range(1, 30))
def test_a_burst_of_saves_ends_on_the_last_one_and_suspends_nothing(saves: int) -> None:
    story = Story({A})
    for _ in range(saves):
        story.after(0.1, A)
    while story.pending:
        story.until_quiet()
    assert story.suspended == {}
    assert story.after(10, A)
    loop = Story()  # and a file that loading writes is not taken for a burst
    for _ in range(guards.IN_A_ROW + 1):
        loop.after(0.1, A)
    loop.until_quiet()
    loop.after(0.1, A)
    assert loop.suspended


def test_a_programmer_who_saves_every_few_seconds_is_not_held_up() -> None:
    story = Story({A})
    for number in range(40):
        assert story.after(1.0 + 1.3 * (number % 4), A)


@defence((GUARD, EXONERATE, "pass"))
def test_a_script_that_saves_as_soon_as_it_is_served_is_not_held_up() -> None:
    story = Story({A})
    for _ in range(100):
        assert story.after(0.25, A)


@defence((GUARD, EXONERATE, "pass"))
def test_a_save_right_after_the_trial_clears_its_file() -> None:
    story = Story({A})
    for _ in range(guards.IN_A_ROW + 1):
        story.after(0.1, A)
    assert story.until_quiet()
    assert story.after(0.25, A)


def test_work_on_another_file_is_not_held_up() -> None:
    story = Story({A, B})
    for _ in range(guards.IN_A_ROW + 1):
        story.after(0.1, A)
    assert story.guard.suspects == {A}
    assert story.after(0.1, B)


@defence((GUARD, "if self._restless(alone, now):", "if False:"))
def test_data_that_changes_all_the_time_is_suspended_and_code_is_not() -> None:
    data, code = Story(), Story({A})
    for number in range(60):
        for story in (data, code):
            story.after(1.0 + number % 3, A)
    assert data.suspended == {A: ALL_THE_TIME}
    assert data.loads == guards.MOST_ALONE
    assert not code.suspended


def test_a_reload_by_hand_clears_every_suspicion() -> None:
    story = Story()
    for _ in range(guards.IN_A_ROW + 1):
        story.after(0.1, A)
    story.guard.clear()
    assert story.guard.due is None
    assert story.after(0.1, A)
