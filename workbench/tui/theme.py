"""The house themes: ink and lamplight, the same by day, one that every eye tells apart, and one without colour."""

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
    primary="#08705d",
    secondary="#1b66a5",
    accent="#8f5200",
    success="#27701a",
    warning="#8f5200",
    error="#b82c1a",
    foreground="#22282f",
    background="#efece4",
    surface="#faf8f3",
    panel="#e4dfd2",
    dark=False,
    variables={
        "wb-dim": "#59616b",
        "wb-faint": "#8d949b",
        "wb-busy": "#08705d",
        "wb-info": "#1b66a5",
        "wb-user": "#7a4a05",
        "wb-cursor": "#f2e3c4",
        **_accented("#8f5200", "#faf8f3", "#cfc8b8"),
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

# Blue, yellow and red: apart in hue and lightness for eyes that see red and green alike, too.
SAFE = Theme(
    name="workbench-safe",
    primary="#56b4e9",
    secondary="#c9a0dc",
    accent="#ffd75f",
    success="#56b4e9",
    warning="#f0e442",
    error="#f2545b",
    foreground="#dfe3e8",
    background="#0c1016",
    surface="#12181f",
    panel="#1b232d",
    dark=True,
    variables={
        **DEFAULTS,
        "wb-busy": "#a6dcff",
        "wb-info": "#c9a0dc",
        "wb-user": "#ffd75f",
        **_accented("#ffd75f", "#0c1016", "#2c3643"),
    },
)

THEMES = (DARK, LIGHT, SAFE, MONO)
NAMES = {"dark": DARK.name, "light": LIGHT.name, "safe": SAFE.name, "mono": MONO.name}  # as flags say it
