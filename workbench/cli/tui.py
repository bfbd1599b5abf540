"""The TUI's process: the terminal's owner, or a visitor."""

import gc
import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from workbench.client.owner import Owner
from workbench.model.text import clean_text

if TYPE_CHECKING:
    from workbench.client.address import Address
    from workbench.tui.preferences import Preferences
    from workbench.tui.report import ExitReport


def run_owned(parsed: Namespace, arguments: list[str]) -> int:
    """`workbench AGENT`: start the supervisor, then open the screen over it."""
    owner = Owner(_supervisor_arguments(parsed, arguments))
    owner.start()
    # Importing the screen takes as long as starting the supervisor: do both at once.
    _prepare()
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.source import OwnedSource

    app = WorkbenchApp(OwnedSource(owner), owner=owner, title=parsed.agent, preferences=looks(parsed))
    app.board.demo = parsed.demo
    return _run(app)


def run_attached(parsed: Namespace, address: "Address", token: str | None) -> int:
    """`workbench attach`: the same screen over a worker that somebody else started."""
    _prepare()
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.source import ClientSource

    return _run(WorkbenchApp(ClientSource(address, token), title=str(address), preferences=looks(parsed)))


def run_over_registry(parsed: Namespace, address: "Address", token: str | None) -> int:
    """`workbench attach REGISTRY`: its workers, load and jobs."""
    _prepare()
    from workbench.tui.registry.app import RegistryApp
    from workbench.tui.registry.feed import RegistryAt

    return _run(RegistryApp(RegistryAt(address, token), str(address), preferences=looks(parsed)))


def looks(parsed: Namespace) -> "Preferences":
    """What is remembered, with what the flags say for this one time."""
    from workbench.tui.preferences import Preferences, load, preferences_path
    from workbench.tui.theme import NAMES

    kept = load(preferences_path())
    return Preferences(NAMES.get(parsed.theme, kept.theme), parsed.ascii or kept.ascii, kept.path)


def _prepare() -> None:
    """Before Textual is imported."""
    gc.disable()  # until the first frame; the collector would look through all that is imported, again and again
    # Textual paints at the ticks of a clock, and a key just after one waits for up to two periods of it. More ticks
    # cost nothing: it stands still while there is nothing to paint.
    if "TEXTUAL_FPS" not in os.environ:
        os.environ["TEXTUAL_FPS"] = "240"
        import textual.constants  # noqa: F401  # reads it, once

        del os.environ["TEXTUAL_FPS"]  # what is started from here, as agents after a restart, is not to see it


def _run(app: Any) -> int:
    # Some shells export these: the screen would keep that size, whatever the terminal is resized to.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    app.run()
    if app.refused is not None:
        raise app.refused
    report: ExitReport = app.exit_report
    for line in report.lines:
        print(clean_text(line), file=sys.stderr)
    return report.exit_code


def _supervisor_arguments(parsed: Namespace, arguments: list[str]) -> list[str]:
    """The user's own arguments, with what the TUI changes about them."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    ours, agent = arguments[:at], arguments[at:]
    if parsed.start_job is None:
        ours = [*ours, "--start-job"]
    return [*ours, *agent]
