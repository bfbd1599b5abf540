"""The house themes: ink and lamplight, the same by day, and one without colour."""

from textual.theme import Theme

# What the sheet needs beside a theme's own colours. A theme that is not ours gets these.
DEFAULTS = {
    "wb-dim": "#8b96a5",
    "wb-faint": "#566173",
    "wb-busy": "#4fd1b5",
    "wb-info": "#6cb6e6",
    "wb-user": "#f0d9a8",
    "wb-cursor": "#2a2f38",
}


def _accented(accent: str, on: str, line: str) -> dict[str, str]:
    """Cursors, scrollbars and borders that Textual would else colour by itself."""
    return {
        "block-cursor-background": accent,
        "block-cursor-foreground": on,
        "input-cursor-background": accent,
        "input-cursor-foreground": on,
        "scrollbar": line,
        "scrollbar-hover": accent,
        "scrollbar-active": accent,
        "scrollbar-background": on,
        "scrollbar-background-hover": on,
        "scrollbar-background-active": on,
        "border": line,
    }


DARK = Theme(
    name="workbench",
    primary="#4fd1b5",
    secondary="#6cb6e6",
    accent="#f3b54a",
    success="#86d072",
    warning="#f3b54a",
    error="#ff7365",
    foreground="#d9dfe7",
    background="#0c1016",
    surface="#12181f",
    panel="#1b232d",
    dark=True,
    variables={**DEFAULTS, **_accented("#f3b54a", "#0c1016", "#2c3643")},
)

LIGHT = Theme(
    name="workbench-light",
    primary="#0b7d69",
    secondary="#1f6fb2",
    accent="#a65f00",
    success="#2f7d1f",
    warning="#a65f00",
    error="#c4321f",
    foreground="#22282f",
    background="#efece4",
    surface="#faf8f3",
    panel="#e4dfd2",
    dark=False,
    variables={
        "wb-dim": "#626a74",
        "wb-faint": "#8d949b",
        "wb-busy": "#0b7d69",
        "wb-info": "#1f6fb2",
        "wb-user": "#7a4a05",
        "wb-cursor": "#f2e3c4",
        **_accented("#a65f00", "#faf8f3", "#cfc8b8"),
    },
)

MONO = Theme(
    name="workbench-mono",
    primary="#ffffff",
    secondary="#ffffff",
    accent="#ffffff",
    success="#d0d0d0",
    warning="#ffffff",
    error="#ffffff",
    foreground="#d0d0d0",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    dark=True,
    variables={
        "wb-dim": "#a0a0a0",
        "wb-faint": "#707070",
        "wb-busy": "#ffffff",
        "wb-info": "#d0d0d0",
        "wb-user": "#ffffff",
        "wb-cursor": "#303030",
        **_accented("#ffffff", "#000000", "#505050"),
    },
)

THEMES = (DARK, LIGHT, MONO)
