"""Which layout a size gets."""

import pytest

from workbench.tui.layout import CLASSES, layout_of, shown_of, tabs_of

LOWER = ("logs", "talk", "events", "tune", "load")
ALL = ("processes", *LOWER)


@pytest.mark.parametrize(
    ("size", "classes", "tabs"),
    [
        ((20, 5), {"-one", "-tiny", "-tabs"}, ALL),
        ((80, 7), {"-one", "-low", "-tabs"}, ALL),
        ((40, 10), {"-one", "-tabs"}, ALL),
        ((50, 20), {"-one", "-tabs"}, ALL),
        ((59, 40), {"-one", "-tabs"}, ALL),
        ((120, 13), {"-one", "-tabs"}, ALL),
        ((60, 14), {"-tabs"}, LOWER),
        ((80, 24), {"-tabs"}, LOWER),
        ((100, 30), {"-tabs", "-panels"}, LOWER),
        ((111, 40), {"-tabs", "-panels"}, LOWER),
        ((112, 29), {"-tabs"}, LOWER),
        ((112, 30), {"-panels"}, ()),
        ((120, 40), {"-panels"}, ()),
        ((120, 46), {"-panels", "-tall"}, ()),
        ((168, 30), {"-panels", "-three"}, ()),
        ((200, 29), {"-tabs"}, LOWER),
        ((200, 60), {"-panels", "-three", "-tall"}, ()),
    ],
)
def test_the_classes_of_a_size(size: tuple[int, int], classes: set[str], tabs: tuple[str, ...]) -> None:
    assert layout_of(*size) == classes
    assert tabs_of(classes, zoomed=False) == tabs
    assert tabs_of(classes, zoomed=True) == ALL


def test_every_class_is_known_to_the_sheet() -> None:
    found = set().union(*(layout_of(width, height) for width in range(10, 250, 7) for height in range(4, 80, 3)))
    assert found == set(CLASSES)


@pytest.mark.parametrize(
    ("size", "zoomed", "pane", "lower", "shown"),
    [
        ((50, 20), False, "processes", "talk", "processes"),
        ((50, 20), False, "tune", "tune", "tune"),
        ((80, 24), False, "processes", "talk", "talk"),
        ((120, 40), False, "logs", "logs", ""),
        ((120, 40), True, "logs", "logs", "logs"),
        ((120, 40), False, "tune", "tune", "tune"),
        ((200, 60), False, "processes", "load", "load"),
    ],
)
def test_which_of_the_panes_in_one_place_shows(
    size: tuple[int, int], zoomed: bool, pane: str, lower: str, shown: str
) -> None:
    assert shown_of(layout_of(*size), zoomed, pane, lower) == shown
