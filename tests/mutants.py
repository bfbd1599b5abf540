"""`python -m tests.mutants [-j N] [-k WORDS]`: take out each defence in a copy of the project; its test must fail.

Prints one line for each: `caught` (the test failed), `SURVIVED` (it passed without its defence), or `INVALID` (the
edit does not fit, or the test could not be run). Ends with 1 unless all were caught.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import child_environment
from tests.defences import ROOT, Edit, every_test

LIMIT_S = 300
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "screenshots", "benchmarks")


@dataclass(frozen=True)
class Mutant:
    """One test function and the edits that take its defence out."""

    test: str
    edits: tuple[Edit, ...]


def collect(words: str) -> list[Mutant]:
    """The mutants of every test whose name holds one of `words`."""
    wanted = words.split()
    tests = [test for test in every_test() if not wanted or any(word in test.node for word in wanted)]
    return [Mutant(test.node, edits) for test in tests for edits in test.defences]


def verdict(mutant: Mutant) -> tuple[str, str]:
    """What became of it, and more."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for name in ("workbench", "tests", "sample_agents"):
            shutil.copytree(ROOT / name, copy / name, ignore=LEFT_OUT)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, copy / name)
        try:
            for edit in mutant.edits:
                edit.apply(copy)
        except (ValueError, OSError) as error:
            return "INVALID", str(error)
        environment = child_environment(PYTHONPATH=str(copy), TEST_WAIT_S="20")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutant.test]
        try:
            done = subprocess.run(
                command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "caught", f"hung for {LIMIT_S} s"
    told = [line for line in done.stdout.splitlines() if line.startswith(("E  ", "FAILED", "ERROR"))]
    last = told[0].removeprefix("E").strip() if told else done.stdout.strip().splitlines()[-1:]
    return {0: "SURVIVED", 1: "caught"}.get(done.returncode, "INVALID"), str(last)[:150]


def main() -> int:
    """Try all that match."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-k", default="", metavar="WORDS", help="only tests whose file or name holds one of these")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="how many at once")
    given = parser.parse_args()
    mutants, began = collect(given.k), time.monotonic()
    counts = {"caught": 0, "SURVIVED": 0, "INVALID": 0}
    with ThreadPoolExecutor(given.j) as pool:
        for mutant, (word, more) in zip(mutants, pool.map(verdict, mutants), strict=True):
            counts[word] += 1
            print(f"{word:8} {mutant.test.removeprefix('tests/')}: {more}", flush=True)
    print(f"{counts['caught']} of {len(mutants)} caught in {time.monotonic() - began:.0f} s", flush=True)
    return 0 if mutants and counts["caught"] == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
