"""Every way to name an agent, what each runs as, and what is said of files that hold no agent."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S, child_environment, tagged, wait_until
from workbench import WorkerJob
from workbench.agent import loading
from workbench.agent.problem import Problem, problem_of
from workbench.model.errors import AgentError

NOTE = """
import json, os, sys
from workbench import JobContext, Options, WorkerJob

def note(what):
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(json.dumps({"what": what, "name": __name__, "package": __package__, "argv": sys.argv,
                                 "cwd": os.getcwd(), "ppid": os.getppid()}) + "\\n")
"""
GUARDED = """
async def entrypoint(ctx): note("entrypoint")
async def other(ctx): note("other")
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""
BARE = 'async def entrypoint(ctx): note("entrypoint")\nasync def other(ctx): note("other")\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an agent of every kind."""
    files = {
        "guarded.py": NOTE + GUARDED,
        "unguarded.py": NOTE + GUARDED.replace('if __name__ == "__main__":', "if True:"),
        "bare.py": NOTE.replace(", WorkerJob", "") + BARE,
        "bot.v2.py": NOTE + GUARDED,
        "shadow/json.py": NOTE + GUARDED,
        "shadow/workbench.py": NOTE + GUARDED,
        "script": NOTE.replace(", WorkerJob", "") + BARE,
        "pkg/__init__.py": "",
        "pkg/helper.py": "WORD = 1\n",
        "pkg/bot.py": NOTE + "from .helper import WORD\n" + GUARDED,
        "pkg/__main__.py": NOTE + "from pkg.helper import WORD\n" + GUARDED,
        "pkg/sub/__init__.py": "",
        "pkg/sub/deep.py": NOTE.replace(", WorkerJob", "") + BARE,
        "lib.py": NOTE + 'async def run(ctx): note("lib")\ndef go(): WorkerJob(run).start()\n',
        "via_lib.py": "import lib\nif __name__ == '__main__':\n    lib.go()\n",
        "lambda.py": NOTE + 'async def two(ctx, n): note(f"two {n}")\nWorkerJob(lambda ctx: two(ctx, 3)).start()\n',
        "closure.py": NOTE
        + 'def make(n):\n    async def inner(ctx): note(f"inner {n}")\n    return inner\nWorkerJob(make(4)).start()\n',
        "several.py": NOTE
        + BARE
        + 'first = WorkerJob(entrypoint)\nsecond = WorkerJob(other, options=Options(agent_id="b"))\n',
    }
    for name, source in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


def run_once(folder: Path, target: str, *arguments: str, **environment: str) -> tuple[int, str, list[dict[str, Any]]]:
    """`workbench TARGET --no-tui --once`: its exit code, its output, and what the job itself wrote."""
    ledger, runtime = folder / "ledger.jsonl", folder / "run"
    ledger.unlink(missing_ok=True)
    runtime.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "workbench", target, "--no-tui", "--once", "--log-format", "text", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
        env=child_environment(LEDGER=str(ledger), XDG_RUNTIME_DIR=str(runtime), **environment),
    )  # fmt: skip
    entries = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    return done.returncode, done.stderr, entries


@pytest.mark.parametrize(
    ("target", "what", "name", "package"),
    [
        ("guarded.py", "entrypoint", "__main__", None),
        ("guarded", "entrypoint", "__main__", None),
        ("unguarded.py", "entrypoint", "__main__", None),
        ("bare.py", "entrypoint", "bare", ""),
        ("script", "entrypoint", "script", ""),
        ("guarded.py:other", "other", "guarded", ""),
        ("guarded:other", "other", "guarded", ""),
        ("several.py:second", "other", "several", ""),
        ("pkg.bot", "entrypoint", "__main__", "pkg"),
        ("pkg/bot.py", "entrypoint", "__main__", "pkg"),
        ("pkg.bot:other", "other", "pkg.bot", "pkg"),
        ("pkg/bot.py:other", "other", "pkg.bot", "pkg"),
        ("pkg", "entrypoint", "__main__", "pkg"),
        ("./pkg", "entrypoint", "__main__", "pkg"),
        ("pkg.sub.deep", "entrypoint", "pkg.sub.deep", "pkg.sub"),
        ("bot.v2.py", "entrypoint", "__main__", None),
        ("bot.v2.py:other", "other", "bot_v2", ""),
        ("shadow/json.py", "entrypoint", "__main__", None),
        ("shadow/workbench.py", "entrypoint", "__main__", None),
        ("via_lib.py:__main__", "lib", "lib", ""),
        ("lambda.py", "two 3", "__main__", None),
        ("closure.py", "inner 4", "__main__", None),
    ],
)
def test_an_agent_runs_by_every_name_it_can_have(
    project: Path, target: str, what: str, name: str, package: str | None
) -> None:
    code, output, entries = run_once(project, target)
    assert code == 0, output
    assert [(e["what"], e["name"], e["package"]) for e in entries] == [(what, name, package)]


def test_the_agent_finds_its_own_arguments(project: Path) -> None:
    _, _, (entry,) = run_once(project, "guarded.py", "--", "--ready-fd=5", "--", "-h")
    assert entry["argv"] == [str(project / "guarded.py"), "--ready-fd=5", "--", "-h"]
    assert entry["cwd"] == str(project)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("guraded.py", "no file 'guraded.py'; did you mean 'guarded.py'?"),
        ("guarded.pyy", "no file or module 'guarded.pyy'; did you mean 'guarded.py'?"),
        ("pkg.nope", "no file or module 'pkg.nope'"),
        ("nowhere.bot", "no file or module"),
        ("pkg..bot", "no file or module"),
        ("..bot", "no file or module"),
        ("sys", "no file or module"),
        (".", "is a folder"),
        ("pkg/sub", "is a folder"),
        ("/dev/null", "is not a file"),
        ("/dev/zero", "is not a file"),
        ("a" * 5000, "no file or module"),
        ("a" * 300 + ".py", "no file"),
        ("\udcff\x1b[31m.py", "no file"),
        ("x\x00.py", "no file"),
    ],
)
def test_a_name_without_an_agent_is_one_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, given: str, words: str
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(AgentError) as refused:
        loading.find(given)
    assert words in str(refused.value)


@pytest.mark.parametrize("leads", ["gone.py", "link.py"])
def test_a_link_that_leads_to_no_agent_is_told_as_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, leads: str
) -> None:
    (project / "link.py").symlink_to(leads)
    monkeypatch.chdir(project)
    with pytest.raises(AgentError, match=rf"^link\.py is a link to {leads}, which leads to no file$"):
        loading.find("link.py")


def test_finding_a_module_executes_nothing_of_its_packages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pkg" / "__init__.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.chdir(project)
    assert loading.find("pkg.sub.deep").file == str(project / "pkg" / "sub" / "deep.py")
    assert loading.find("pkg").dotted == "pkg.__main__"
    assert "pkg" not in sys.modules


def test_an_installed_module_is_found_where_python_finds_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "pkg")
    monkeypatch.syspath_prepend(str(project))
    found = loading.find("pkg.bot")
    assert (found.file, found.root, found.folder) == (str(project / "pkg/bot.py"), str(project), str(project / "pkg"))


# Loads an agent as the worker's own process would, and prints what a person would read.
ALONE = """
import os, sys
from workbench.agent import job, loading
from workbench.agent.problem import problem_of
class Host:
    def take(self, job): print("taken"), sys.stdout.flush(), os._exit(0)
try:
    target = loading.find(sys.argv[1])
    loading.prepare(target, [])
    job.set_host(Host())
    loading.execute(target)
except BaseException as error:
    problem = problem_of(error, os.getcwd())
    print("\\n".join([problem.headline(), *problem.excerpt()]))
    sys.exit(problem.exit_code)
"""
TWO_JOBS = "async def e(ctx): pass\nasync def o(ctx): pass\na = WorkerJob(e)\nb = WorkerJob(o)\n"


def load_alone(folder: Path, target: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALONE, target],
        cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (TWO_JOBS + "a.start()\n", "bad.py:b", "another WorkerJob than 'b' is started"),
        (TWO_JOBS, "bad.py", "choose with bad.py:a or bad.py:b"),
        ("async def start(ctx): pass\n", "bad.py", "run `bad.py:start`?"),
        ("def main(): pass\nif __name__ == '__main__': main()\n", "bad.py", "`bad.py:__main__` runs it"),
        ("async def entrypoint(ctx): pass\n", "bad.py:entrypont", "did you mean 'entrypoint'?"),
        ("entrypoint = 3\n", "bad.py", "bad.py: the entrypoint 3 is not callable"),
        ("def entrypoint(ctx): pass\n", "bad.py", "bad.py: the entrypoint is not a coroutine function"),
        ("async def entrypoint(ctx): yield 1\n", "bad.py", "is an async generator"),
        ("async def entrypoint(): pass\n", "bad.py", "must take one argument"),
        ("class entrypoint:\n    async def __call__(self, ctx): pass\n", "bad.py", "is not a coroutine function"),
        ("WorkerJob(3)\n", "bad.py", "is not callable; write `async def entrypoint(ctx):` (bad.py:"),
        ("async def e(ctx): pass\nWorkerJob(e, jobctx=3)\n", "bad.py", "jobctx must be a JobContext or a callable"),
        ("async def e(ctx): pass\nWorkerJob(e, options={})\n", "bad.py", "options must be Options(...), not dict"),
        ("async def e(ctx): pass\nWorkerJob(e, jobctx=e)\n", "bad.py", "not an async one"),
        ("async def e(ctx): pass\nWorkerJob(e, jobctx=lambda x: x)\n", "bad.py", "called without arguments"),
        ("async def e(ctx): pass\nWorkerJob(e, prewarm=3)\n", "bad.py", "prewarm must be callable"),
        ("async def e(ctx): pass\nWorkerJob(e, prewarm=lambda: 0)\n", "bad.py", "prewarm must take one argument"),
        ("raise KeyboardInterrupt\n", "bad.py", "KeyboardInterrupt (bad.py:1)"),
        ("import sys\nsys.exit('bye')\n", "bad.py", "the file called sys.exit('bye')"),
        ("class E(Exception):\n    def __str__(self): raise SystemExit\nraise E\n", "bad.py", "cannot be shown"),
        ("class E(BaseException): pass\nraise E('x')\n", "bad.py", "E: x (bad.py:2)"),
        ("def f(): f()\nf()\n", "bad.py", "RecursionError"),
        ("x = 1\0\n", "bad.py", "null bytes (bad.py)"),
        ("# -*- coding: nonsense -*-\n", "bad.py", "unknown encoding: nonsense (bad.py)"),
        ("import nosuchthing\n", "bad.py", "No module named 'nosuchthing' (bad.py:1)"),
        ("input()\n", "bad.py", "EOFError"),
    ],
)
def test_a_file_that_holds_no_agent_is_one_clear_error(tmp_path: Path, source: str, target: str, words: str) -> None:
    imports = "from workbench import WorkerJob\n" if "WorkerJob" in source else ""
    (tmp_path / "bad.py").write_text(imports + source)
    code, output = load_alone(tmp_path, target)
    assert code == 3
    assert words in output


@pytest.mark.parametrize("kind", ["unclosed", "raising", "nested"])
def test_lines_and_messages_of_megabytes_are_cut(tmp_path: Path, kind: str) -> None:
    source, words = {
        "unclosed": ("x = (" + "a" * 5_000_000 + "\n", "SyntaxError: '(' was never closed (bad.py:1)"),
        "raising": ("x = '" + "a" * 5_000_000 + "'; raise ValueError('z' * 1_000_000)\n", "ValueError: zzz"),
        "nested": ("x = " + "(" * 10_000 + ")" * 10_000 + "\n", "SyntaxError: too many nested parentheses"),
    }[kind]
    (tmp_path / "bad.py").write_text(source)
    code, output, _ = run_once(tmp_path, "bad.py")
    assert code == 3
    assert words in output
    assert "Traceback" not in output
    assert len(output) < 5000


def test_a_module_that_is_in_use_is_not_taken_for_the_agent(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("async def entrypoint(ctx): pass\n")
    code, output = load_alone(tmp_path, "json.py")
    assert (code, "rename the file" in output) == (3, True)


def test_a_save_of_the_same_size_in_the_same_second_is_loaded(tmp_path: Path) -> None:
    agent = tmp_path / "quick.py"
    for word in ("one", "two"):
        agent.write_text(NOTE.replace(", WorkerJob", "") + f'async def entrypoint(ctx): note("{word}")\n')
        os.utime(agent, (1_700_000_000, 1_700_000_000))
        assert [e["what"] for e in run_once(tmp_path, "quick.py")[2]] == [word]


# --- plain python ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "what", "package"),
    [
        (["guarded.py", "-x", "--", "y"], "entrypoint", None),
        (["unguarded.py", "-x", "--", "y"], "entrypoint", None),
        (["-m", "pkg.bot", "-x", "--", "y"], "entrypoint", "pkg"),
        (["-m", "pkg", "-x", "--", "y"], "entrypoint", "pkg"),
        (["via_lib.py", "-x", "--", "y"], "lib", ""),
    ],
)
def test_plain_python_becomes_the_worker_in_its_own_process(
    project: Path, command: list[str], what: str, package: str | None
) -> None:
    ledger, tag = project / "ledger.jsonl", f"plain-{os.getpid()}-{what}-{len(command)}"
    environment = child_environment(
        LEDGER=str(ledger), WORKBENCH_PORT="0", TEST_TAG=tag, XDG_RUNTIME_DIR=str(project), WORKBENCH_AGENT_ID="Handed"
    )
    process = subprocess.Popen(
        [sys.executable, *command], cwd=project, env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: ledger.exists() and ledger.read_text().endswith("\n"), "its first job ran")
    entry = json.loads(ledger.read_text())
    assert (entry["what"], entry["package"], entry["argv"][1:]) == (what, package, ["-x", "--", "y"])
    assert entry["cwd"] == str(project)
    assert entry["ppid"] == process.pid  # the worker is the process that python was
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    started = next(json.loads(line) for line in errors.splitlines() if '"started"' in line)
    assert (started["pid"], started["agent_id"]) == (process.pid, "Handed")
    wait_until(lambda: not tagged(tag), "nothing is left")


def test_a_start_without_a_file_or_in_a_child_of_the_agent_is_refused(project: Path) -> None:
    source = "from workbench import WorkerJob\nasync def e(ctx): pass\nWorkerJob(e).start()\n"
    for command in ([sys.executable, "-c", source], [sys.executable, "-"]):
        run = subprocess.run(command, input=source, capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert "needs a file to run" in run.stderr
    (project / "forks.py").write_text(NOTE + textwrap.dedent("""
        import multiprocessing
        def work(): note("work")
        async def entrypoint(ctx):
            child = multiprocessing.get_context("spawn").Process(target=work)
            child.start(); child.join(); note(f"exit {child.exitcode}")
        WorkerJob(entrypoint).start()
    """))  # fmt: skip
    code, output, entries = run_once(project, "forks.py")
    assert (code, [e["what"] for e in entries]) == (0, ["exit 1"]), output
    assert "called in a multiprocessing child" in output


# --- problems ----------------------------------------------------------------------------------------


def test_a_token_in_a_line_of_the_file_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "bot.py"
    lines = ["x = dict(auth_token='canary-1')", 'y = {"control_token": f"canary-2"}', "1 / 0", "auth_token = 'canary-3"]
    path.write_text("\n".join(lines))
    try:
        exec(compile("\n".join(lines[:3]), str(path), "exec"), {})
    except ZeroDivisionError as error:
        made = problem_of(error, str(tmp_path))
    assert "canary" not in json.dumps(made.to_json())
    assert "auth_token='********'" in "\n".join(made.excerpt())


def test_a_caret_stands_under_its_column_where_tabs_are_shown_as_four() -> None:
    problem = Problem("SyntaxError", "x", line=1, column=3, source=[(1, "\t\tx = (")])
    shown, caret = problem.excerpt()
    assert caret.index("^") == shown.replace("\t", "    ").index("x = (")
    assert Problem("", "x", line=1, column=900, source=[(1, "x")]).excerpt() == [">    1 | x"]


def test_a_worker_job_that_is_the_named_one_may_start_itself(project: Path) -> None:
    (project / "own.py").write_text(NOTE + BARE + "job = WorkerJob(other)\njob.start()\n")
    for name in ("job", "other"):
        code, output, entries = run_once(project, f"own.py:{name}")
        assert (code, [e["what"] for e in entries]) == (0, ["other"]), output


def test_making_a_worker_job_is_enough_to_be_found(project: Path) -> None:
    assert WorkerJob(lambda ctx: None).options.max_processes == 5  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    "strange",
    [
        "import sys\nsys.stdout.close()\n",
        "import sys\nsys.stdout = None\n",
        "import io, sys\nsys.stdout = io.StringIO()\n",
        "import sys, types\nclass M(types.ModuleType):\n    def __getattr__(self, name):\n        raise OSError(name)\n"
        "sys.modules['weird'] = M('weird')\n",
    ],
)
def test_an_agent_that_does_strange_things_to_its_interpreter_still_runs(tmp_path: Path, strange: str) -> None:
    (tmp_path / "strange.py").write_text(strange + NOTE + "async def entrypoint(ctx):\n    note('ran')\n")
    code, output, entries = run_once(tmp_path, "strange.py")
    assert (code, [e["what"] for e in entries]) == (0, ["ran"]), output


def test_an_agent_takes_arguments_of_a_hundred_kilobytes(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(
        NOTE + "import sys\nasync def entrypoint(ctx):\n    note(str(len(sys.argv[1])))\n"
    )
    code, output, entries = run_once(tmp_path, "long.py", "--", "x" * 100_000)
    assert (code, [e["what"] for e in entries]) == (0, ["100000"]), output


def test_a_first_process_for_which_there_are_no_descriptors_is_an_end_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("async def entrypoint(ctx):\n    pass\n")
    command = f"ulimit -n 20; exec {sys.executable} -m workbench good.py --no-tui --once --port 0"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert done.returncode == 3
    assert "ulimit -n" in done.stderr
