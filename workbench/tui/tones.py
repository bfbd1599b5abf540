"""How the style sheet wants each tone to look: asked once for the whole app, not for each widget of it."""

from rich.style import Style
from textual.app import App, ReturnType
from textual.css.styles import RenderStyles

from workbench.tui.lines import ROW_TONES, TONES


class TonedApp(App[ReturnType]):
    """An app that knows the tones.

    A tone looks the same wherever it stands. Were the tones the widgets' own component classes, Textual would match the
    whole sheet for each tone of each widget whenever one is styled: that was most of the time to the first paint.
    """

    COMPONENT_CLASSES = {f"tone--{tone}" for tone in (*TONES, *ROW_TONES)}

    def __init__(self) -> None:
        super().__init__()
        self._tones: dict[str, tuple[RenderStyles, Style]] = {}

    def tone(self, name: str) -> Style:
        """The look of a tone, without the background below it.

        Raises:
            KeyError: there is no such tone.
        """
        styles = self._component_styles[f"tone--{name}"]  # another object each time the sheet was applied
        known = self._tones.get(name)
        if known is None or known[0] is not styles:
            known = self._tones[name] = styles, styles.partial_rich_style
        return known[1]
