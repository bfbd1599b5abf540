"""What a registry is to be told of jobs, kept in order until it is sure to have come there. No I/O."""

from collections import deque


class Outbox:
    """Updates of jobs. The protocol has no receipt for one; a pong to a ping sent after it is as good: the registry
    has read everything before that."""

    def __init__(self) -> None:
        self._unsent: deque[str] = deque()
        self._sent: deque[tuple[int, str]] = deque()  # with the number of the ping that is to confirm it
        self._ping = 0

    def __len__(self) -> int:
        """Updates not confirmed."""
        return len(self._unsent) + len(self._sent)

    def __contains__(self, text: str) -> bool:
        return text in self._unsent or any(text == sent for _, sent in self._sent)

    def put(self, text: str) -> None:
        """One more, behind all others."""
        self._unsent.append(text)

    def take(self) -> str | None:
        """The next to be sent; it is noted as sent."""
        if not self._unsent:
            return None
        text = self._unsent.popleft()
        self._sent.append((self._ping + 1, text))
        return text

    def ping(self) -> int | None:
        """The number of a ping that is to follow now; None when everything was asked about already."""
        if not self._sent or self._sent[-1][0] <= self._ping:
            return None
        self._ping += 1
        return self._ping

    def ponged(self, number: int) -> None:
        """The registry answered that ping: it has all that was sent before."""
        while self._sent and self._sent[0][0] <= number:
            self._sent.popleft()

    def lost(self) -> None:
        """The connection is gone: what was not confirmed is sent again on the next one, in its order."""
        while self._sent:
            self._unsent.appendleft(self._sent.pop()[1])
