"""A kernel that refuses: what a sandbox forbids, a capability that is not there. For the process that calls it."""

import ctypes
import errno
import os
import platform
import struct

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 24, 38, 22
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
FILTER = 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
CALLS = {
    "x86_64": {"fcntl": 72, "inotify_init1": 294, "memfd_create": 319, "prctl": 157, "socketpair": 53, "waitid": 247},
    "aarch64": {"fcntl": 25, "inotify_init1": 26, "memfd_create": 279, "prctl": 167, "socketpair": 199, "waitid": 95},
}
KNOWN = platform.machine() in CALLS


def refuse(call: str, argument: int = 0, value: int | None = None) -> None:
    """From here on the kernel answers EPERM to a system call, or only to it with this value of an argument.

    Raises:
        OSError: the kernel has no such filters.
    """
    number = CALLS[platform.machine()][call]
    if value is None:
        steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, number)]
    else:
        at = 16 + 8 * argument  # in the kernel's `struct seccomp_data`
        steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 3, number), (LOAD, 0, 0, at), (JUMP_IF_EQUAL, 0, 1, value)]
    steps += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_SECCOMP, FILTER, program)


def as_any_user() -> None:
    """Programs started from here on heed the modes of files, even as root."""
    if os.getuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            _prctl(PR_CAPBSET_DROP, capability)


def _prctl(what: int, first: int, second: bytes | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(what, ctypes.c_ulong(first), second, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({what}): {os.strerror(code)}")
