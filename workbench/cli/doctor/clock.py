"""The clocks: timeouts, beats and loads are reckoned with one, the times in logs and answers with the other."""

import time
from pathlib import Path

from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding

PAUSE_S = 0.02
CALLS = 2000
SLOW_NS = 2000


def check_clock(root: Path = Path("/")) -> list[Finding]:
    """The steady clock and the wall clock."""
    return [_steady(root), _wall()]


def _steady(root: Path) -> Finding:
    before = time.monotonic()
    time.sleep(PAUSE_S)
    moved = time.monotonic() - before
    asleep = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    cost_ns = _cost_ns()
    source = _source(root)
    figures = {"source": source, "cost_ns": cost_ns, "suspended_s": round(max(0.0, asleep), 1)}
    if moved <= 0:
        text = "The monotonic clock stood still while this process slept."
        return Finding("steady clock", MISSING, text, "No timeout would ever be reached. Use another machine.", figures)
    found = f"The monotonic clock moves ({source or 'source unknown'}, {cost_ns} ns a reading)"
    found += f"; the machine was suspended for {asleep:,.0f} s since it started." if asleep >= 1 else "."
    if cost_ns > SLOW_NS:
        follows = "Reading it is slow, and every process reads it all the time: choose another clock source (tsc)."
        return Finding("steady clock", NOTE, found, follows, figures)
    return Finding("steady clock", OK, found, "", figures)


def _wall() -> Finding:
    now, made = time.time(), Path(__file__).stat().st_mtime
    local = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now))
    figures = {"now": round(now, 3)}
    if now < made:
        follows = "Times in logs and answers will be wrong, and TLS may refuse certificates. Set the clock (NTP)."
        return Finding("wall clock", NOTE, f"It says {local}, before this package was installed.", follows, figures)
    return Finding("wall clock", OK, f"It says {local}.", "", figures)


def _cost_ns() -> int:
    """The cheapest of a few rounds: the machine may be busy."""
    best = float("inf")
    for _ in range(5):
        before = time.perf_counter_ns()
        for _ in range(CALLS):
            time.monotonic()
        best = min(best, (time.perf_counter_ns() - before) / CALLS)
    return round(best)


def _source(root: Path) -> str:
    try:
        file = root / "sys/devices/system/clocksource/clocksource0/current_clocksource"
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
