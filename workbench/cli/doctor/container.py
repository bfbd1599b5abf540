"""What the container or the machine gives: CPUs, memory, and who dies when memory runs out."""

from pathlib import Path

from workbench.cli.doctor.finding import NOTE, OK, Finding
from workbench.model.options import Options
from workbench.process.cgroup import Groups
from workbench.process.sampling import CpuClock

MB = 1e6
KINDS = {0: "no control groups", 1: "control groups version 1", 2: "control groups version 2"}


def check_container(options: Options, groups: Groups, root: Path = Path("/")) -> list[Finding]:
    """CPU quota, memory limit, out-of-memory policy."""
    return [_cpu(groups, CpuClock(root)), _memory(options, groups, _machine_bytes(root)), _out_of_memory(groups)]


def _cpu(groups: Groups, clock: CpuClock) -> Finding:
    quota = groups.cpus()
    figures = {"cores": clock.cpus, "quota": quota.value if quota else None, "version": groups.version}
    if quota is None:
        found = f"{clock.cpus:g} {_cores(clock.cpus)}, no quota ({KINDS[groups.version]})."
        return Finding("cpu", OK, found, "A load of 1 is all of them busy.", figures)
    found = f"A quota of {quota.value:g} {_cores(quota.value)} ({KINDS[groups.version]}, {quota.place})."
    if quota.value < clock.cpus:
        follows = (
            f"How much of it is used cannot be read, so load is measured against {clock.cpus:g} "
            f"{_cores(clock.cpus)}: use `--load jobs`, or a lower load_threshold."
        )
        return Finding("cpu", NOTE, found, follows, figures)
    return Finding("cpu", OK, found, "A load of 1 is all of it used.", figures)


def _memory(options: Options, groups: Groups, machine: float) -> Finding:
    limit = groups.memory()
    inside = limit is not None and (not machine or limit.value < machine)
    most = limit.value if limit is not None and inside else machine
    if not most:
        return Finding("memory", NOTE, "The kernel does not say how much memory there is.", "Is /proc mounted?")
    jobs, each_mb = options.max_processes, options.memory_limit_mb
    figures = {
        "limit_mb": round(limit.value / MB) if limit is not None and inside else None,
        "machine_mb": round(machine / MB), "needed_mb": jobs * each_mb,
    }  # fmt: skip
    found = f"{most / MB:,.0f} MB {'is the limit of the container' if inside else 'in this machine'}"
    if each_mb == 0:
        found += "; memory_limit_mb is 0, so a job has no limit of its own."
        if not inside:
            return Finding("memory", OK, found, "", figures)
        cure = f"A job that leaks takes the others along. Set memory_limit_mb, at most {most / MB / jobs:.0f}."
        return Finding("memory", NOTE, found, cure, figures)
    found += f"; {jobs} {'job' if jobs == 1 else 'jobs'} of at most {each_mb:g} MB may take {jobs * each_mb:,.0f} MB."
    if jobs * each_mb * MB > most:
        cure = (
            "The kernel may kill before memory_limit_mb does. Set it to "
            f"{most / MB / jobs:.0f} at most, lower max_processes, or give more memory."
        )
        return Finding("memory", NOTE, found, cure, figures)
    return Finding("memory", OK, found, "", figures)


def _out_of_memory(groups: Groups) -> Finding:
    together = groups.killed_together()
    figures = {"group": str(together) if together else None}
    if together is None:
        found = "No control group asks the kernel to kill all at once when memory runs out: it picks one process."
        return Finding("oom kills", OK, found, "", figures)
    follows = (
        "When memory runs out, the kernel kills the worker and all its jobs at once. Set memory_limit_mb low "
        "enough that the worker is first, or have memory.oom.group switched off (Kubernetes: singleProcessOOMKill)."
    )
    return Finding("oom kills", NOTE, f"memory.oom.group is 1 in {together}.", follows, figures)


def _machine_bytes(root: Path) -> float:
    """0 when the kernel does not say."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in lines if line.startswith("MemTotal:")]
    return float(found[0]) * 1024 if found else 0.0


def _cores(count: float) -> str:
    return "core" if count == 1 else "cores"
