"""The `workbench` command. `--help` and `--version` answer before anything is imported."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code (see the README's table)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    before_agent_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if not arguments or "--help" in before_agent_arguments or "-h" in before_agent_arguments:
        return _help(before_agent_arguments)
    if arguments == ["--version"]:
        from workbench import __version__

        print(f"workbench {__version__}")
        return 0
    from workbench.cli.commands import run

    return run(arguments)


def _help(arguments: list[str]) -> int:
    from pathlib import Path

    text = Path(__file__).with_name("help.txt").read_text(encoding="utf-8")
    print(text, end="")
    return 0 if arguments else 2
