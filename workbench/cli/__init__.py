"""The `workbench` command. `--help` and `--version` answer before anything is imported."""

import os
import sys
from collections.abc import Sequence

HELP = ("-h", "--help")
ASKS_HELP: tuple[list[str], ...] = (["help"], [])
ASKS_VERSION: tuple[list[str], ...] = (["--version"], ["-V"], ["version"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code (see the README's table)."""
    _open_standard_fds()
    arguments = list(sys.argv[1:] if argv is None else argv)
    return _flushed(_run(arguments))


def _run(arguments: list[str]) -> int:
    try:
        ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
        if arguments in ASKS_HELP or any(flag in ours for flag in HELP):
            return _help(0 if arguments else 2)
        if arguments in ASKS_VERSION:
            from workbench import __version__

            print(f"workbench {__version__}")
            return 0
        from workbench.cli.commands import run

        return run(arguments)
    except BrokenPipeError:
        return _nobody_reads()
    except KeyboardInterrupt:
        return 130


def _help(code: int) -> int:
    from pathlib import Path

    text = Path(__file__).with_name("help.txt").read_text(encoding="utf-8")
    print(text, end="")
    return code


def _open_standard_fds() -> None:
    """Open those of 0, 1 and 2 that are closed: else a socket would get the number, and our output."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False, errors="backslashreplace")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")


def _flushed(code: int) -> int:
    """Write what is buffered while a failure can still be told; Python would only complain on its way out."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _nobody_reads()
    except OSError as error:
        _to_nowhere(1)
        code = code or 1
        print(f"workbench: cannot write the output: {error.strerror}", file=sys.stderr)
    try:
        sys.stderr.flush()
    except OSError:
        _to_nowhere(2)  # nobody is left to be told
    return code


def _nobody_reads() -> int:
    """`workbench options bot.py | head`: nobody reads on, which is no error of ours."""
    _to_nowhere(1)
    return 141


def _to_nowhere(fd: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
