"""The guard against reloads that cause themselves: an agent that writes a watched file whenever it is loaded.

Who writes a file cannot be known, so it is tried. When a file has changed several times at the same moment of a
generation's life, nothing is loaded until it has been left alone for a while; then once. If it changes at that moment
again, loading writes it, and its changes load nothing any more. If it changes while nothing is loaded, somebody
else writes it, and reloads go on.
"""

from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field

IN_A_ROW = 5  # changes, the first of which may be anybody's
SPREAD_S = 1.0  # what is written by loading is written that much earlier or later
HOLD_S = 3.0
MOST_ALONE, WINDOW_S = 10, 30.0  # reloads for the sake of one file that is no code

WRITTEN_BY_LOADING = "written each time the agent is loaded"
ALL_THE_TIME = "changes all the time"
NEVER = 1e9  # s; no generation has begun yet


@dataclass(slots=True)
class Verdict:
    """Whether to load what differs now, and the files that load nothing any more, each with its reason."""

    load: bool
    suspend: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Suspicion:
    files: frozenset[str]
    beside: frozenset[str]  # what changed along with them, now and then
    earliest_s: float  # after a generation began
    latest_s: float
    quiet_since: float


class Guard:
    """Told of every generation and every change. All times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._began: float | None = None
        self.clear()

    def clear(self) -> None:
        """Somebody asked for a reload: suspect nothing."""
        self._row: deque[tuple[frozenset[str], float]] = deque(maxlen=IN_A_ROW)
        self._alone: dict[str, deque[float]] = {}
        self._held: _Suspicion | None = None
        self._tried: _Suspicion | None = None

    def began(self, now: float) -> None:
        """A generation begins to load."""
        self._began = now

    def exonerate(self) -> None:
        """What has changed now was written by somebody while nothing was loading, however regular it is."""
        self._row.clear()
        self._held = self._tried = None

    @property
    def suspects(self) -> frozenset[str]:
        """The files for whose sake nothing is loaded just now."""
        return self._held.files if self._held is not None else frozenset()

    @property
    def in_question(self) -> frozenset[str]:
        """The files of which it matters whether loading writes them: those of the changes in a row."""
        kept = (one for one in (self._held, self._tried) if one is not None)
        return frozenset().union(*(files for files, _ in self._row), *(one.files for one in kept))

    @property
    def due(self) -> float | None:
        """When to ask again, whatever happens."""
        return self._held.quiet_since + HOLD_S if self._held is not None else None

    def judge(self, differing: Set[str], changed: Set[str], code: Set[str], now: float) -> Verdict:
        """What to do.

        Args:
            differing: files that are not what the newest generation loaded.
            changed: those that have changed since the last look.
            code: files that the agent imports: of those only loading itself is suspected.
        """
        if not differing:
            self._held = None
            return Verdict(False)
        if self._held is not None:
            return self._while_held(self._held, differing, changed, now)
        if not changed:
            return Verdict(True)
        after_s = now - self._began if self._began is not None else NEVER
        if self._tried is not None:
            tried, self._tried = self._tried, None
            guilty = tried.files & changed
            if guilty and tried.earliest_s - SPREAD_S <= after_s <= tried.latest_s + SPREAD_S:
                self._row.clear()
                return Verdict(bool(differing - guilty), dict.fromkeys(sorted(guilty), WRITTEN_BY_LOADING))
        alone = next(iter(differing - code), "") if len(differing) == 1 else ""
        if self._restless(alone, now):
            return Verdict(False, {alone: ALL_THE_TIME})
        self._row.append((frozenset(differing), after_s))
        self._held = self._suspicion(now)
        if self._held is None and alone:
            self._alone.setdefault(alone, deque(maxlen=MOST_ALONE)).append(now)
        return Verdict(self._held is None)

    def _while_held(self, held: _Suspicion, differing: Set[str], changed: Set[str], now: float) -> Verdict:
        if differing - held.files - held.beside:
            self.exonerate()  # somebody is at work
            return Verdict(True)
        if changed:
            held.quiet_since = now
        if now - held.quiet_since < HOLD_S:
            return Verdict(False)
        self._held, self._tried = None, held
        return Verdict(True)

    def _suspicion(self, now: float) -> _Suspicion | None:
        if len(self._row) < IN_A_ROW:
            return None
        moments = [after_s for _, after_s in self._row]
        files = frozenset.intersection(*(files for files, _ in self._row))
        if not files or max(moments) - min(moments) >= SPREAD_S:
            return None
        beside = frozenset.union(*(files for files, _ in self._row)) - files
        return _Suspicion(files, beside, min(moments), max(moments), now)

    def _restless(self, file: str, now: float) -> bool:
        times = self._alone.get(file, deque())
        return len(times) == MOST_ALONE and now - times[0] < WINDOW_S
