"""The report: one line for each finding on a terminal or in a pipe, or one JSON object."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable

from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.model.mask import Mask
from workbench.model.text import clean_text

SIGNS = {OK: "✓", NOTE: "!", MISSING: "✗"}
PLAIN_SIGNS = {OK: "+", NOTE: "!", MISSING: "x"}
COLOURS = {OK: "32", NOTE: "33", MISSING: "31"}
NAME_WIDTH = 12
WIDEST = 100
NARROWEST = 50


class Report:
    """Prints findings as they come, without secrets."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        terminal = os.isatty(1)
        self._width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns)) if terminal else 80
        self._colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._signs = SIGNS if self._can_show("".join(SIGNS.values())) else PLAIN_SIGNS

    def head(self, text: str) -> None:
        """The first line."""
        self._print(text)

    def begin(self, section: str) -> None:
        """The head of a group; its checks may take a while."""
        self._print("")
        self._print(self._painted(section, "1"))
        sys.stdout.flush()

    def wait(self, what: str) -> None:
        """Something takes long."""
        what = clean_text(self._mask.text(what))
        self._print(f"  … {what}" if self._signs is SIGNS else f"  ... {what}")
        sys.stdout.flush()

    def add(self, findings: Iterable[Finding]) -> None:
        """What they found."""
        for finding in findings:
            self._finding(finding)

    def end(self, findings: list[Finding], failed: bool) -> None:
        """What it comes to."""
        missing = [one.check for one in findings if one.state == MISSING and not (failed and one.check == "agent")]
        notes = sum(one.state == NOTE for one in findings)
        noted = f"; {notes} {'note' if notes == 1 else 'notes'}" if notes else ""
        self._print("")
        if missing:
            self._print(self._painted(f"Missing: {', '.join(missing)}{noted}.", COLOURS[MISSING]))
        elif failed:
            self._print(self._painted(f"The agent cannot be loaded{noted}.", COLOURS[MISSING]))
        elif unknown := [one.check for one in findings if not one.checked]:
            self._print(f"Nothing was found to be missing, but this could not be checked: {', '.join(unknown)}{noted}.")
        else:
            self._print(f"All that a worker needs is here{noted}.")
        sys.stdout.flush()  # the agent's own problem follows on stderr

    def _finding(self, finding: Finding) -> None:
        mark = f"{self._signs[finding.state]} {finding.state:<8}"
        start = f"  {mark}{finding.check:<{NAME_WIDTH}}  "
        text = clean_text(self._mask.text(" ".join(part for part in (finding.found, finding.follows) if part)))
        lines = textwrap.wrap(
            text, max(20, self._width - 1 - len(start)), break_long_words=False, break_on_hyphens=False
        )
        for number, line in enumerate(lines or [""]):
            if number:
                self._print(" " * len(start) + line)
            else:
                self._print(f"  {self._painted(mark, COLOURS[finding.state])}{finding.check:<{NAME_WIDTH}}  {line}")

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _can_show(self, text: str) -> bool:
        try:
            text.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def _print(self, text: str) -> None:
        encoding = sys.stdout.encoding or "ascii"
        print(text.rstrip().encode(encoding, "backslashreplace").decode(encoding))
