"""File systems whose changes are made elsewhere too: the kernel cannot tell of those."""

import os
import re
from collections.abc import Iterable

MOUNTS = "/proc/self/mountinfo"
FOREIGN = {
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "vboxsf", "drvfs", "virtiofs", "afs", "ceph", "lustre",
    "ocfs2", "gfs2", "prl_fs", "fakeowner", "osxfs",
}  # fmt: skip
FOREIGN_LIKE = ("fuse.",)
ESCAPED = re.compile(r"\\([0-7]{3})")


def foreign(folders: Iterable[str], mounts: str = MOUNTS) -> str:
    """`nfs at /mnt/x` of the first folder that lies on such a file system; empty when none does."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
            known = [found for line in lines if (found := _mount(line)) is not None]
    except OSError:
        return ""
    for folder in sorted(folders):
        path = os.path.join(os.path.realpath(folder), "")
        inside = [mount for mount in known if path.startswith(os.path.join(mount[0], ""))]
        if not inside:
            continue
        deepest = max(len(point) for point, _ in inside)
        point, kind = [mount for mount in inside if len(mount[0]) == deepest][-1]  # a later one covers the earlier
        if kind in FOREIGN or kind.startswith(FOREIGN_LIKE):
            return f"{kind} at {point}"
    return ""


def _mount(line: str) -> tuple[str, str] | None:
    """Where something is mounted, and the kind of its file system."""
    first, separator, last = line.partition(" - ")
    fields, more = first.split(" "), last.split(" ")
    if not separator or len(fields) < 5:
        return None
    return ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[4]), more[0]
