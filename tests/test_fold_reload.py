"""What the state says of a generation that had served and is taken back."""

from typing import Any

from tests.defences import defence
from workbench.model import events as ev
from workbench.model.state import State

FOLD = "workbench/model/fold.py"


def after(*events: ev.Event) -> State:
    state = State()
    for event in events:
        state.apply(event)
    return state


def served(generation: int, **costs: Any) -> list[ev.Event]:
    return [
        ev.ReloadStarted(at=1, generation=generation, changed=[]),
        ev.ReloadDone(
            at=2, generation=generation, took_ms=1, start_method="zygote", start_method_why="", **costs
        ),
    ]  # fmt: skip


@defence((FOLD, "if event.generation >= reload.generation:", "if True:"))
def test_a_roll_back_beside_a_newer_save_leaves_that_ones_progress() -> None:
    newer = ev.ReloadStarted(at=3, generation=3, changed=["bot.py"])
    back = ev.ReloadFailed(at=4, generation=2, problem={"message": "died"}, serving=1)
    state = after(*served(1), *served(2), newer, back)
    assert (state.worker.generation, state.reload.generation) == (1, 3)
    assert (state.reload.step, state.reload.problem) == ("loading", None)


@defence((FOLD, "reload.import_ms, reload.memory_mb = reload.import_before_ms, reload.memory_before_mb", "pass"))
def test_code_that_was_taken_back_is_no_measure_for_the_next() -> None:
    back = ev.ReloadFailed(at=4, generation=2, problem={"message": "died"}, serving=1)
    state = after(
        *served(1, import_ms=10.0, memory_mb=20.0), *served(2, import_ms=900.0, memory_mb=500.0), back,
        *served(3, import_ms=12.0, memory_mb=21.0),
    )  # fmt: skip
    assert (state.reload.import_before_ms, state.reload.memory_before_mb) == (10.0, 20.0)
