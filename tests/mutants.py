"""`python -m tests.mutants [-j N] [-k WORDS]`: take out each defence in a copy of the project; its test must fail.

Prints one line for each: `caught` (the test failed), `SURVIVED` (it passed without its defence), `SKIPPED` (it cannot
be run on this machine), or `INVALID` (the edit does not fit, the test could not be run, or it fails with its defence,
too). Ends with 1 unless all were caught or skipped, and at least one was caught.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import child_environment, kill_tagged
from tests.defences import ROOT, Edit, every_test

LIMIT_S = 300
TAG = "MUTANT_TAG"  # in the environment of all that one run starts
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "screenshots", "benchmarks")


@dataclass(frozen=True)
class Mutant:
    """One test function and the edits that take its defence out."""

    test: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Result:
    """How a test ended: `passed`, `failed`, `hung`, `skipped` or `broken`, and its first words on that."""

    word: str
    more: str


def collect(words: str) -> list[Mutant]:
    """The mutants of every test whose name holds one of `words`."""
    wanted = words.split()
    tests = [test for test in every_test() if not wanted or any(word in test.node for word in wanted)]
    return [Mutant(test.node, edits) for test in tests for edits in test.defences]


def run(test: str, edits: tuple[Edit, ...] = ()) -> Result:
    """Run a test in a copy of the project with these edits. Nothing that it starts is left.

    Raises:
        ValueError: an edit does not fit; `OSError` likewise.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        copy, tag = Path(folder), uuid.uuid4().hex
        for name in ("workbench", "tests", "sample_agents"):
            shutil.copytree(ROOT / name, copy / name, ignore=LEFT_OUT)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, copy / name)
        for edit in edits:
            edit.apply(copy)
        environment = child_environment(PYTHONPATH=str(copy), TEST_WAIT_S="20", **{TAG: tag})
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
        with tempfile.TemporaryFile("w+", errors="replace") as output:  # a pipe would be kept open by what is left
            process = subprocess.Popen(
                command, cwd=copy, env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                return Result("hung", f"for {LIMIT_S} s")
            finally:
                process.kill()
                process.wait()
                kill_tagged(tag, TAG)
            output.seek(0)
            return _result(code, output.read().strip().splitlines() or [""])


def _result(code: int, lines: list[str]) -> Result:
    told = [line.removeprefix("E").strip() for line in lines if line.startswith(("E  ", "FAILED", "ERROR"))]
    more = (told or lines[-1:])[0][:150]
    if code == 0 and "skipped" in lines[-1] and "passed" not in lines[-1]:
        return Result("skipped", more)
    return Result({0: "passed", 1: "failed"}.get(code, "broken"), more)


def verdict(mutant: Mutant, unedited: "Future[Result]") -> tuple[str, str]:
    """What became of it, and more. `unedited` is how its test ends with its defence."""
    before = unedited.result()
    if before.word == "skipped":
        return "SKIPPED", before.more
    if before.word != "passed":
        return "INVALID", f"unedited it {before.word}: {before.more}"
    try:
        found = run(mutant.test, mutant.edits)
    except (ValueError, OSError) as error:
        return "INVALID", str(error)
    word = {"passed": "SURVIVED", "failed": "caught", "hung": "caught"}.get(found.word, "INVALID")
    return word, f"hung {found.more}" if found.word == "hung" else found.more


def main() -> int:
    """Try all that match."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-k", default="", metavar="WORDS", help="only tests whose file or name holds one of these")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="how many at once")
    given = parser.parse_args()
    mutants, began = collect(given.k), time.monotonic()
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(given.j) as pool:
        unedited = {test: pool.submit(run, test) for test in dict.fromkeys(mutant.test for mutant in mutants)}
        verdicts = [pool.submit(verdict, mutant, unedited[mutant.test]) for mutant in mutants]
        for mutant, found in zip(mutants, verdicts, strict=True):
            word, more = found.result()
            counts[word] += 1
            print(f"{word:8} {mutant.test.removeprefix('tests/')}: {more}", flush=True)
    skipped = f", {counts['SKIPPED']} skipped" if counts["SKIPPED"] else ""
    print(f"{counts['caught']} of {len(mutants)} caught{skipped} in {time.monotonic() - began:.0f} s", flush=True)
    return 0 if counts["caught"] and counts["caught"] + counts["SKIPPED"] == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
