"""The link to a registry, as the screen of a worker shows it and its key moves it."""

import pytest

from tests.tui.demo_state import NOW, demo_state, job, process
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, fresh_state, staged
from workbench.client.client import Frame
from workbench.model import events as ev
from workbench.tui.board import Board
from workbench.tui.widgets.status_line import latest, standing

URL = "http://registry.example:7900"
UNFOLLOWED = "register (bot.py) is not followed here: --register or L does"


def link(state: str, why: str = "", **more: object) -> ev.LinkChanged:
    """A change of the link."""
    given = {"attempt": 0, "retry_at": None, **({"url": URL} if state != "local" else {}), **more}
    return ev.LinkChanged(at=NOW, state=state, why=why, **given)  # type: ignore[arg-type]


def waiting() -> ev.LinkChanged:
    """The registry cannot be reached."""
    return link("waiting", "connection refused", attempt=3, retry_at=NOW + 4.4, worker_id="wk-7", undelivered=2)


def given(id: str = "4f2a91") -> list[ev.Event]:
    """A job from the registry runs."""
    queued, *more = job(id, 9, NOW - 5, room="room-9")
    assert isinstance(queued, ev.JobQueued)
    queued = ev.JobQueued(at=queued.at, id=id, room_id="room-9", metadata={}, own=False, assigned=True)
    return [*process(9, 41909, 6, NOW - 9), queued, *more]


def board(*events: ev.Event, **options: object) -> Board:
    """A worker to which that happened."""
    made = Board(lambda: NOW)
    state = fresh_state(**options)
    made.take(Frame(state, snapshot=True))
    for event in events:
        state.apply(event)
        made.take(Frame(state, event=event))
    return made


def words(line: list[tuple[str, str]]) -> str:
    return "".join(text for text, _ in line)


# --- the key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "asked"), [("y", [("register",)]), ("escape", []), ("enter", [])])
async def test_L_asks_before_jobs_of_others_run_on_this_machine(key: str, asked: list[tuple[str]]) -> None:
    async with staged(FakeSource(fresh_state(registry_url=f"http://me:secret@{URL[7:]}"))) as stage:
        await stage.press("L")
        await stage.sees(f"Register at {URL} as support-agent?")
        await stage.sees("Jobs from there will run on this machine.")
        assert "secret" not in stage.text()
        await stage.press(key)
        await stage.settle()
        assert stage.source.asked == asked


async def test_without_a_token_the_worker_says_what_to_set() -> None:
    source = FakeSource(fresh_state())
    source.refusal = "to register at https://api.videosdk.live set VIDEOSDK_AUTH_TOKEN, or name an auth_token_file"
    async with staged(source) as stage:
        await stage.press("L")
        await stage.sees("Register at https://api.videosdk.live as support-agent?")
        await stage.press("y")
        await stage.tells("set VIDEOSDK_AUTH_TOKEN")


@pytest.mark.parametrize("event", [waiting(), link("failed", "it does not know the token")], ids=["waiting", "failed"])
async def test_a_link_that_is_down_is_tried_at_once_without_a_question(event: ev.LinkChanged) -> None:
    async with staged(FakeSource(demo_state()), size=(80, 24)) as stage:
        await stage.happen(event)
        assert "L Retry link" in stage.rows()[-1]
        await stage.press("L")
        await stage.asked("register")


@pytest.mark.parametrize("state", ["connected", "connecting"])
async def test_leaving_a_registry_tells_what_goes_on(state: str) -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.happen(link(state), *given())
        await stage.press("L")
        await stage.sees(f"Take no more jobs from {URL}?")
        await stage.sees("1 job from there goes on here.")
        await stage.press("c")
        assert stage.source.asked == []
        await stage.press("L", "y")
        await stage.asked("unregister")


async def test_a_link_that_is_given_up_after_its_jobs_is_told_and_can_be_kept() -> None:
    async with staged(FakeSource(fresh_state()), size=(200, 60)) as stage:
        await stage.happen(link("connected", "unregistering, after 1 job", worker_id="wk-7"), *given())
        assert "unregistering, after 1 job" in stage.of("#header")
        assert "L Register" in stage.rows()[-1]
        await stage.press("L")
        await stage.asked("register")


async def test_the_word_of_the_key_follows_the_link() -> None:
    async with staged(FakeSource(fresh_state()), size=(200, 60)) as stage:
        for event, word in (
            (link("local"), "L Register"), (waiting(), "L Retry link"), (link("connected"), "L Unregister"),
            (link("failed", "no"), "L Retry link"), (link("connecting"), "L Unregister"), (link("local"), "L Register"),
        ):  # fmt: skip
            await stage.happen(event)
            await stage.until(lambda word=word: word in stage.rows()[-1], word)  # type: ignore[misc]
            assert stage.rows()[-1].count("L ") == 1


async def test_the_palette_has_what_the_link_can_do_now() -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.happen(waiting())
        await stage.press("ctrl+p", *"registry")
        await stage.sees("Registry: Call the registry again at once")
        assert "Registry: Take no more" not in stage.text()


# --- what is shown ----------------------------------------------------------------------------------


async def header(stage: Stage, *events: ev.Event) -> str:
    await stage.happen(*events)
    return stage.of("#header")


async def test_the_header_tells_the_next_try_and_what_waits_to_be_told() -> None:
    async with staged(FakeSource(fresh_state(max_retry=16)), size=(200, 60)) as stage:
        shown = await header(stage, waiting(), ev.SlotReserved(at=NOW, id="j", held_s=7.5))
        for text in ("◐ waiting retry 3/16 in 4s", URL, "! 2 undelivered", "1 reserved", "connection refused"):
            assert text in shown
        shown = await header(stage, link("connected", "registered as wk-7", worker_id="wk-7"))
        assert "● connected" in shown
        assert f"{URL}   as wk-7" in shown


async def test_a_link_without_end_has_no_last_try() -> None:
    async with staged(FakeSource(fresh_state(max_retry=0))) as stage:
        assert "retry 3/∞ in 4s" in await header(stage, waiting())


def test_a_link_that_failed_stands_above_the_keys_with_its_cure() -> None:
    line = standing(board(link("failed", "refuses this worker (401): set VIDEOSDK_AUTH_TOKEN")))
    assert line[0] == ("✗ registry: refuses this worker (401): set VIDEOSDK_AUTH_TOKEN", "bad")
    assert "L tries again" in words(line)


def test_a_link_that_waits_stands_there_with_its_next_try() -> None:
    line = standing(board(waiting()))
    assert line[0] == ("◐ registry: connection refused", "warn")
    assert "retry 3/16 in 4s; L tries now" in words(line)


def test_a_link_that_is_up_again_is_no_trouble_any_more() -> None:
    assert "registry connected" in words(latest(board(waiting(), link("connected", "registered as wk-7"))))


def test_a_file_that_says_register_and_is_not_followed_is_told() -> None:
    told = board(link("local", UNFOLLOWED), register=True)
    assert words(latest(told)) == f"○ registry: {UNFOLLOWED}"
    assert "registry" not in words(latest(board(ev.DrainCancelled(at=NOW), register=False)))


def test_the_events_tell_of_the_link() -> None:
    events = [
        link("connecting", f"registering at {URL}"), link("connected", "registered as wk-7"), waiting(),
        link("connecting", f"registering at {URL}", attempt=3), link("failed", "no more tries"),
        ev.LinkMessageDropped(at=NOW, why="no job id"), ev.SlotReserved(at=NOW, id="j1", held_s=7.5),
        ev.SlotReleased(at=NOW, id="j1", why="expired"), ev.SlotReserved(at=NOW, id="j2", held_s=7.5),
        ev.SlotReleased(at=NOW, id="j2", why="assigned"),
    ]  # fmt: skip
    assert [(note.tone, note.text) for note in board(*events).notes] == [
        ("info", f"registry connecting: registering at {URL}"),
        ("good", "registry connected: registered as wk-7"),
        ("warn", "registry waiting: connection refused; retry 3/16 in 4s"),
        ("bad", "registry failed: no more tries; L tries again"),
        ("warn", "registry: a message was dropped: no job id"),
        ("warn", "registry: the job j1 was offered and accepted, and never came; its slot is free again"),
    ]


def test_who_comes_later_is_told_that_the_link_has_failed() -> None:
    state = fresh_state()
    state.apply(link("failed", "no more tries"))
    made = Board(lambda: NOW)
    made.take(Frame(state, snapshot=True))
    assert [note.text for note in made.notes] == ["registry failed: no more tries; L tries again"]


async def test_jobs_of_a_registry_and_kept_slots_are_marked() -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.happen(link("connected"), *given(), ev.SlotReserved(at=NOW, id="j", held_s=7.5))
        assert "⇄4f2a91" in stage.of("#table")
        assert "⇄ registry" in stage.of("#table")
        assert "1 reserved" in stage.of("#processes PaneBar")
        await stage.press("x")
        await stage.sees("A registry gave it to this worker.")
        await stage.press("escape", "enter")
        await stage.sees("⇄ from the registry")
