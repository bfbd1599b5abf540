"""The one check command: `python -m tests.check` formats, lints, types, checks imports and runs the tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
STEPS = [
    [str(BIN / "ruff"), "format", "--check", "."],
    [str(BIN / "ruff"), "check", "."],
    [str(BIN / "mypy")],
    [str(BIN / "lint-imports")],
    # Most of the tests wait for processes of theirs. A file's tests run one after the other: some share a port.
    [sys.executable, "-m", "pytest", "-n", str(2 + (os.cpu_count() or 1)), "--dist", "loadfile", *sys.argv[1:]],
]


def heard() -> None:
    """In the child: `nohup`, or `&` in a script, would leave these ignored in all that the tests start."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def main() -> int:
    """Run every step; the first that fails ends it."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")}
    for step in STEPS:
        print("$", " ".join(step), flush=True)
        code = subprocess.run(step, cwd=ROOT, env=clean, check=False, preexec_fn=heard).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
