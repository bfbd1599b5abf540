"""Python, the libraries and the user that a worker would run with."""

import importlib
import os
import platform
import pwd
import re
import sys
from importlib import metadata

from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.cli.doctor.trial import TrialError, in_a_fork

DISTRIBUTION = "agent-workbench"
FOR_THE_SCREEN = frozenset({"textual", "rich"})
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?P<versions>[^;\[]*)$")
BOUND = re.compile(r"(>=|<=|==|<|>)\s*([\w.]+)")


def check_program() -> list[Finding]:
    """Python, libraries, user."""
    return [check_python(), *check_libraries(), check_user()]


def check_python() -> Finding:
    """Python itself, against what this package was made for."""
    found = f"Python {platform.python_version()} ({sys.executable}) on Linux {platform.release()}."
    try:
        wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return Finding("python", NOTE, found, "This package is not installed: what it needs is not known.")
    if not allows(wanted, platform.python_version()):
        return Finding("python", MISSING, found, f"It must be {wanted}; install the package into such a Python.")
    return Finding("python", OK, found)


def check_libraries() -> list[Finding]:
    """Every library this package says it needs: imported, and its version compared."""
    try:
        wanted = dict(_requirements(metadata.requires(DISTRIBUTION) or []))
    except metadata.PackageNotFoundError:
        return []  # told by `check_python`
    bad: list[Finding] = []
    good: list[Finding] = []
    for name, versions in wanted.items():
        finding = _library(name, versions)
        (good if finding.state == OK else bad).append(finding)
    if good:
        figures = {one.check: one.figures["version"] for one in good}
        listed = ", ".join(f"{name} {version}" for name, version in figures.items())
        bad.insert(0, Finding("libraries", OK, f"{listed}.", "", figures))
    return bad


def _library(name: str, versions: str) -> Finding:
    for_screen = name in FOR_THE_SCREEN
    state = NOTE if for_screen else MISSING
    what = "The screen cannot open; `--no-tui` works. " if for_screen else "A worker cannot start. "
    cure = f"{what}Install it: `{sys.executable} -m pip install '{name}{versions}'`."
    try:
        in_a_fork(lambda: importlib.import_module(name.replace("-", "_")) and None)
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, state, f"{name} is not installed.", cure)
    except TrialError as error:
        return Finding(name, state, f"{name} cannot be imported: {error}.", cure)
    if not allows(versions, version):
        text = f"{name} is {version}, and this package was made for {versions}."
        return Finding(name, NOTE, text, f"It may work, or not. {cure.removeprefix(what)}")
    return Finding(name, OK, "", "", {"version": version})


def _requirements(lines: list[str]) -> list[tuple[str, str]]:
    found = [REQUIREMENT.match(line) for line in lines if "extra ==" not in line]
    return [(match["name"], match["versions"].strip()) for match in found if match]


def allows(versions: str, version: str) -> bool:
    """Whether a version keeps within bounds like `>=8.2,<9`."""
    have = _numbers(version)
    for sign, text in BOUND.findall(versions):
        bound = _numbers(text)
        kept = {">=": have >= bound, "<=": have <= bound, "==": have == bound, "<": have < bound, ">": have > bound}
        if not kept[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part)  # type: ignore[index]


def check_user() -> Finding:
    """Who a worker would be: agent code has the same rights."""
    name, first = _name(os.getuid()), os.getpid() == 1
    pid_1 = " as process 1 of a container; a worker reaps what others leave there" if first else ""
    figures = {"uid": os.getuid(), "pid": os.getpid()}
    if os.getuid() == 0:
        follows = "The agent's code may do everything here, too. Give a worker in production a user of its own."
        return Finding("user", NOTE, f"Runs as root{pid_1}.", follows, figures)
    return Finding("user", OK, f"Runs as {name} (uid {os.getuid()}){pid_1}.", "", figures)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "a user without a name"
