"""Which compilations Python keeps of an agent's files."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import child_environment
from tests.defences import defence

PROGRAM = """
import sys
from workbench.agent import bytecode
bytecode.keep_none_of_fresh_files()
sys.path.insert(0, sys.argv[1])
import fresh, old
print(fresh.WORD, old.WORD)
"""


def run(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@defence(("workbench/agent/bytecode.py", "abs(time.time() - made_of) > FRESH_S", "True"))
def test_a_save_in_the_second_of_the_one_before_is_executed(tmp_path: Path) -> None:
    ahead = time.time() + 1.0  # still fresh when the program has started on a busy machine
    for name in ("fresh", "old"):
        (tmp_path / f"{name}.py").write_text("WORD = 'one'\n")
    os.utime(tmp_path / "old.py", (1_700_000_000, 1_700_000_000))
    os.utime(tmp_path / "fresh.py", (ahead, ahead))
    assert run(tmp_path) == "one one"
    assert [file.name.split(".")[0] for file in (tmp_path / "__pycache__").iterdir()] == ["old"]
    (tmp_path / "fresh.py").write_text("WORD = 'two'\n")
    os.utime(tmp_path / "fresh.py", (ahead, ahead))
    assert run(tmp_path) == "two one"
