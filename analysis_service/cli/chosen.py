"""The metrics that --metric names."""

from collections.abc import Sequence
from difflib import get_close_matches

import click


def chosen(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Their indexes, in the order asked; all if nothing is asked."""
    if not wanted:
        return list(range(len(names)))
    for name in wanted:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
            raise click.BadParameter(f"no metric is called {name!r}; {hint}", param_hint="--metric")
    return [names.index(name) for name in dict.fromkeys(wanted)]
