"""Where a slow import stands is told without harm to it, whatever it does."""

import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import WAIT_S, child_environment, wait_until
from tests.defences import defence

# Each call takes frames that the last one left: whoever looks at them without the interpreter's lock finds them gone.
DEEP = """
def deep(n, *more):
    if n:
        deep(n - 1, *more)

while told() < 300:
    deep(200, *range(20))
"""
HELD = """
import ctypes
mutex = ctypes.create_string_buffer(64)
lock_it = ctypes.PyDLL(None).pthread_mutex_lock  # by PyDLL: no other thread of Python runs meanwhile
lock_it(mutex) or lock_it(mutex)
"""
PROGRAM = """
import os, sys
from workbench.process import standing

standing.SLOW_IMPORT_S, standing.HELD_S = float(sys.argv[1]), float(sys.argv[2])
place = os.open(sys.argv[3], os.O_RDWR | os.O_CREAT)
told = lambda: os.pread(place, 1 << 24, 0).count(b"Loading has not ended")
watch = standing.Standing(place)
exec(compile(sys.argv[4], "the_agent.py", "exec"), {"told": told})
watch.stop()
import threading
print(threading.active_count(), len(os.listdir("/proc/self/task")))
"""


def load(source: str, tmp_path: Any, look_s: float, held_s: float, before: str = "") -> "subprocess.Popen[str]":
    program = PROGRAM.replace("watch =", f"{before}watch =")
    return subprocess.Popen(
        [sys.executable, "-c", program, str(look_s), str(held_s), str(tmp_path / "told"), source],
        env=child_environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_an_import_that_works_hard_lives_through_300_looks_at_it(tmp_path: Any) -> None:
    program = load(DEEP, tmp_path, 0.001, 600.0)
    output, _ = program.communicate(timeout=WAIT_S)
    assert program.returncode == 0  # faulthandler's own timer kills it within the first hundred
    assert output.split()[0] == "1"
    told = (tmp_path / "told").read_text()
    assert '  File "the_agent.py", line ' in told
    assert "frozen importlib" not in told


@defence(("workbench/process/standing.py", "        self._arm()  # here", "        pass  # here"))
@pytest.mark.parametrize(
    "before", ["", "import ctypes\nsys.setswitchinterval(1000)\n"], ids=["after a look", "before any"]
)
def test_an_import_that_holds_the_interpreters_lock_is_told_all_the_same(tmp_path: Any, before: str) -> None:
    program = load(HELD, tmp_path, 0.05, 0.2, before)
    try:
        told = tmp_path / "told"
        line = 'File "the_agent.py", line 5 in <module>'
        wait_until(lambda: told.exists() and line in told.read_text(), "the line is told")
        assert program.poll() is None
    finally:
        program.kill()
        program.communicate()
