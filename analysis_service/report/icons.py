"""A shape per tone, so that a verdict is known without its colour: tick in a circle, cross in an octagon, and so on."""

from analysis_service.report.story import Tone

_PATHS: dict[Tone, tuple[str, str]] = {  # the ground, and the sign on it, in a box of 24
    "good": ("M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22Z", "M6.5 12.5l3.7 3.7l7.3-8"),
    "bad": ("M7.5 1h9L23 7.5v9L16.5 23h-9L1 16.5v-9Z", "M8 8l8 8M16 8l-8 8"),
    "unsure": ("M12 .5L23.5 12L12 23.5L.5 12Z", "M9.4 9.6a2.7 2.7 0 1 1 3.9 2.4c-.9.5-1.3 1-1.3 2M12 16.6v.5"),
    "error": ("M12 1.5L23.5 22H.5Z", "M12 9v6M12 18v.5"),
    "idle": ("M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22Z", "M7 12v.2M12 12v.2M17 12v.2"),
}
CSS = (
    ".icon{flex:none;vertical-align:-.2em}.sign{fill:none;stroke:var(--ground);stroke-width:2.4;"
    "stroke-linecap:round;stroke-linejoin:round}"
)


def icon(tone: Tone, size: int) -> str:
    """Decoration: the word stands beside it."""
    return (
        f'<svg class="icon" width="{size}" height="{size}" viewBox="0 0 24 24" aria-hidden="true">{shape(tone)}</svg>'
    )


def shape(tone: Tone) -> str:
    """The two paths alone."""
    ground, sign = _PATHS[tone]
    return f'<path class="f-{tone}" d="{ground}"/><path class="sign" d="{sign}"/>'
