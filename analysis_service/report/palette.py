"""The colours, light and dark. Text has 4.5:1 or more on its ground, drawn things 3:1 (WCAG 2.2 AA); a test holds it.

Colour is never alone: a phase also has a shape and a word, an arm a dash and a label.
"""

from collections.abc import Mapping
from types import MappingProxyType

Theme = Mapping[str, str]

LIGHT: Theme = MappingProxyType(
    {
        "ground": "#ffffff",
        "panel": "#f5f6f8",
        "ink": "#1b1f24",
        "soft": "#545d68",  # second-rank text
        "grid": "#dfe3e8",  # decoration, below any threshold on purpose
        "edge": "#7b8591",
        "canary": "#b54708",
        "stable": "#1d5fc2",
        "estimate": "#1b1f24",
        "good": "#18703a",
        "bad": "#c11f1f",
        "unsure": "#8a5a00",
        "error": "#7a3bb8",
        "idle": "#5f6873",
        "rule": "#545d68",
    }
)
DARK: Theme = MappingProxyType(
    {
        "ground": "#14171b",
        "panel": "#1d2127",
        "ink": "#e9ecf0",
        "soft": "#a8b1bc",
        "grid": "#2f353d",
        "edge": "#77818d",
        "canary": "#ff9a57",
        "stable": "#7db3ff",
        "estimate": "#e9ecf0",
        "good": "#56c878",
        "bad": "#ff7d74",
        "unsure": "#e6b43c",
        "error": "#c9a0ff",
        "idle": "#9aa4b0",
        "rule": "#a8b1bc",
    }
)
DECORATION = frozenset({"grid"})
GROUNDS = ("ground", "panel")


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours `#rrggbb`, 1 to 21."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(color: str) -> float:
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def variables(theme: Theme) -> str:
    """The theme as CSS custom properties."""
    return "".join(f"--{name}:{color};" for name, color in theme.items())
