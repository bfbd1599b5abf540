"""`workbench doctor [AGENT]`: try everything a worker needs, and say in plain words what follows."""

import json
import os
import platform
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

from workbench import __version__
from workbench.agent import loading
from workbench.cli.doctor.agent import AgentTrial, not_loaded, try_agent
from workbench.cli.doctor.clock import check_clock
from workbench.cli.doctor.container import check_container
from workbench.cli.doctor.ending import ended_in_order
from workbench.cli.doctor.finding import MISSING, NOTE, Finding
from workbench.cli.doctor.kernel import check_kernel
from workbench.cli.doctor.limits import check_limits
from workbench.cli.doctor.places import check_places
from workbench.cli.doctor.program import check_program
from workbench.cli.doctor.report import Report
from workbench.cli.doctor.saves import check_saves
from workbench.cli.doctor.terminal import check_terminal
from workbench.cli.layers import read_layers
from workbench.cli.parser import given_flags
from workbench.model.errors import WorkbenchError
from workbench.model.mask import Mask
from workbench.model.settings import Settings
from workbench.model.text import clean_lines
from workbench.process.cgroup import Groups
from workbench.supervisor.secrets import masked, secrets_of

Check = Callable[[], list[Finding]]


def run_doctor(parsed: Namespace) -> int:
    """Check, report; the exit code: 2 when something essential is missing, 1 when a check of ours failed.

    Raises:
        WorkbenchError: the agent cannot be loaded; raised after the report, as `workbench AGENT` would raise it.
    """
    with ended_in_order():
        return _run(parsed)


def _run(parsed: Namespace) -> int:
    mask = Mask()
    report = None if parsed.json else Report(mask)
    try:
        examination = Examination(parsed, report.wait if report is not None else lambda what: None, mask)
    except WorkbenchError as error:  # nothing can be tried with such options
        if report is None:
            print(mask.json(_as_json(parsed, {}, error, error.exit_code)))
        raise
    if report is not None:
        report.head(f"workbench {__version__}, looking at {parsed.agent or 'this machine'}")
    sections: dict[str, list[Finding]] = {}
    for name, check in examination.sections():
        if report is not None:
            report.begin(name)
        sections[name] = _guarded(name, check)
        if report is not None:
            report.add(sections[name])
    findings = [finding for group in sections.values() for finding in group]
    failure = examination.failure
    code = failure.exit_code if failure is not None else _code(findings)
    if report is not None:
        report.end(findings, failure is not None)
    else:
        print(mask.json(_as_json(parsed, sections, failure, code)))
    if failure is not None:
        raise masked(failure, mask)
    return code


def _code(findings: list[Finding]) -> int:
    if any(finding.state == MISSING for finding in findings):
        return 2
    return 0 if all(finding.checked for finding in findings) else 1


class Examination:
    """The checks in their order. What forks comes before what starts threads.

    Args:
        wait: called with what takes long.
        mask: learns the secrets there are.

    Raises:
        UsageError: options that cannot be.
    """

    def __init__(self, parsed: Namespace, wait: Callable[[str], None], mask: Mask) -> None:
        self._parsed, self._wait, self._mask = parsed, wait, mask
        self._trial: AgentTrial | None = None
        self._not_found: WorkbenchError | None = None
        target = self._find()
        self._folder = Path(target.file).parent if target else Path.cwd()
        self._layers = read_layers(self._folder, parsed.preset, given_flags(parsed), target.stem if target else "agent")
        mask.learn(secrets_of(self._layers, os.environ))
        self._settings: Settings = self._layers.settings()

    def _find(self) -> loading.Target | None:
        if not self._parsed.agent:
            return None
        try:
            target = loading.find(self._parsed.agent)
            loading.executes_as_main(target)  # refuses a file that cannot be read
        except WorkbenchError as error:
            self._not_found = error
            return None
        return target

    @property
    def failure(self) -> WorkbenchError | None:
        """Why the agent cannot be loaded."""
        return self._trial.failure if self._trial is not None else self._not_found

    def sections(self) -> Iterator[tuple[str, Check]]:
        """Each group of checks, to be done before the next is asked for."""
        groups = Groups()
        yield "Program", check_program
        yield "Kernel", check_kernel
        if self._parsed.agent:
            yield "Agent", self._agent
        options = self._settings.options
        files_each = self._trial.files_each if self._trial is not None else None
        yield "Limits", lambda: check_limits(options.max_processes, groups, files_each)
        yield "Container", lambda: check_container(options, groups)
        yield "Places", lambda: check_places(self._settings)
        yield "Clock", check_clock
        yield "Terminal", check_terminal
        yield "Hot reload", lambda: check_saves(self._folder)

    def _agent(self) -> list[Finding]:
        parsed = self._parsed
        if self._not_found is not None:
            return not_loaded(parsed.agent)
        self._trial = try_agent(
            parsed.agent, self._layers, parsed.arguments, parsed.start_method, self._wait, self._mask
        )
        if self._trial.failure is None:
            self._settings = self._trial.settings
        return self._trial.findings()


def _guarded(name: str, check: Check) -> list[Finding]:
    """A check that cannot be made must not hide the others."""
    try:
        return check()
    except WorkbenchError:
        raise
    except Exception as error:
        text = f"This could not be checked: {type(error).__name__}: {error}."
        return [Finding(name.lower(), NOTE, text, "Nothing is known of it; please report this.", checked=False)]


def _as_json(parsed: Namespace, sections: dict[str, list[Finding]], failure: WorkbenchError | None, code: int) -> str:
    return json.dumps(
        {
            "version": __version__,
            "agent": parsed.agent,
            "python": platform.python_version(),
            "kernel": platform.release(),
            "pid": os.getpid(),
            "exit_code": code,
            "problem": clean_lines(str(failure)) if failure is not None else None,
            "findings": [finding.to_json(name) for name, group in sections.items() for finding in group],
        },
        indent=2,
    )
