"""A signal that ends the examination lets it put back what it has changed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Meanwhile SIGTERM and SIGHUP are exceptions, as SIGINT is.

    Raises:
        SystemExit: such a signal came; the code is 128 and its number.
    """
    code = 0

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal code
        code = 128 + number
        raise SystemExit(code)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # under nohup
            signal.signal(number, leave)
    try:
        yield
    except KeyboardInterrupt:
        if code:  # the library that watches files makes that of every signal
            raise SystemExit(code) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
