"""How the board is laid out at a size, as class names that the style sheet knows."""

TABS_BELOW = (112, 30)  # columns, rows: below either, logs, talk and events share one place
ONE_BELOW = (60, 14)  # below either, one pane at a time
LOW_BELOW = 8  # rows: the line of the last trouble makes room for the pane
TINY_BELOW = 6  # rows: no pane has room any more; who it is, what is wrong, and the keys
PANELS_FROM = (100, 30)
THREE_FROM = 168
TALL_FROM = 46

SHARED = ("logs", "talk", "events", "tune", "load")  # the panes below the processes
WHOLE = ("tune", "load")  # those that take all of the lower part while they are shown, however wide it is

CLASSES = ("-one", "-low", "-tiny", "-tabs", "-panels", "-three", "-tall")


def layout_of(width: int, height: int) -> set[str]:
    """The classes for a screen of `width` columns and `height` rows."""
    found = set()
    if width < ONE_BELOW[0] or height < ONE_BELOW[1]:
        found.add("-one")
        if height < LOW_BELOW:
            found.add("-tiny" if height < TINY_BELOW else "-low")
    if width < TABS_BELOW[0] or height < TABS_BELOW[1]:
        found.add("-tabs")
    if width >= PANELS_FROM[0] and height >= PANELS_FROM[1]:
        found.add("-panels")
    if width >= THREE_FROM and "-tabs" not in found:
        found.add("-three")
    if height >= TALL_FROM and "-panels" in found:
        found.add("-tall")
    return found


def tabs_of(classes: set[str], zoomed: bool) -> tuple[str, ...]:
    """The panes that share one place."""
    if "-one" in classes or zoomed:
        return ("processes", *SHARED)
    return SHARED if "-tabs" in classes else ()


def shown_of(classes: set[str], zoomed: bool, pane: str, lower: str) -> str:
    """The one pane of those that share a place that shows; the empty string where all have a place of their own.

    Args:
        pane: the pane with the focus.
        lower: the pane of the lower part that was chosen last.
    """
    tabs = tabs_of(classes, zoomed)
    if "processes" in tabs:
        return pane
    return lower if tabs or lower in WHOLE else ""
