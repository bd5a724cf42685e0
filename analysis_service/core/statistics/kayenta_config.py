"""What a Kayenta canary config says, read as its judge reads it.

Lenient where the judge is lenient (an unknown word means the default) and fatal where it is fatal: a number written as
text, an integer beyond 32 bits or a flag that is no boolean fails the whole judgement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeGuard

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


class ConfigError(ValueError):
    """The canary config cannot be judged by; the text says where and why."""


class Direction(StrEnum):
    """Which way a change is reported."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


class NanStrategy(StrEnum):
    """What becomes of NaN: dropped, or counted as zero."""

    REMOVE = "remove"
    REPLACE = "replace"


class Measure(StrEnum):
    """The effect size: ratio of means, or the chance that a canary value exceeds a baseline value."""

    MEAN_RATIO = "meanRatio"
    CLES = "cles"


@dataclass(frozen=True, slots=True)
class EffectSize:
    """Limits that an effect must reach, at or beyond, before it counts. Plain numbers in the measure's own unit."""

    measure: Measure = Measure.MEAN_RATIO
    allowed_increase: float = 1.0
    allowed_decrease: float = 1.0
    critical_increase: float = 1.0
    critical_decrease: float = 1.0


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """`analysisConfigurations.canary` of one metric."""

    direction: Direction = Direction.EITHER
    nan_strategy: NanStrategy = NanStrategy.REMOVE
    remove_outliers: bool = False
    outlier_factor: float = 3.0
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    effect: EffectSize = EffectSize()


@dataclass(frozen=True, slots=True)
class MetricConfig:
    """One metric of the config."""

    name: str
    groups: tuple[str, ...] = ()
    options: CanaryOptions = CanaryOptions()


@dataclass(frozen=True, slots=True)
class CanaryConfig:
    """What the judge needs of a canary config."""

    metrics: tuple[MetricConfig, ...]
    group_weights: Mapping[str, float] = field(default_factory=dict)


_INT32: Final = 2**31


def parse_config(config: Mapping[str, Json]) -> CanaryConfig:
    """A canary config (JSON as data) -> CanaryConfig. Unknown fields are ignored. Raises ConfigError."""
    metrics = config.get("metrics")
    if not _is_list(metrics):
        raise ConfigError(f"metrics: a list of metrics is wanted, found {_kind(metrics)}")
    classifier = config.get("classifier")
    weights = lookup(classifier, "groupWeights") if isinstance(classifier, Mapping) else None
    if weights is not None and not isinstance(weights, Mapping):
        raise ConfigError(f"classifier.groupWeights: a mapping of group to number is wanted, found {_kind(weights)}")
    return CanaryConfig(
        metrics=tuple(_metric(metric, f"metrics[{i}]") for i, metric in enumerate(metrics)),
        group_weights={
            group: _number(weight, f"classifier.groupWeights.{group}") for group, weight in (weights or {}).items()
        },
    )


def parse_options(canary: Json, *, at: str = "canary") -> CanaryOptions:
    """`analysisConfigurations.canary` as data -> CanaryOptions.

    canary: a mapping, or None for all defaults. at: where it stands, for the error's text. Raises ConfigError.
    """

    def text(*path: str) -> str | None:
        value = lookup(canary, *path)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{at}.{'.'.join(path)}: text is wanted, found {_kind(value)}")
        return value

    def flag(key: str) -> bool:
        value = lookup(canary, key)
        if value is not None and not isinstance(value, bool):
            raise ConfigError(f"{at}.{key}: true or false is wanted, found {_kind(value)} {value!r}")
        return bool(value)

    def number(default: float, *path: str) -> float:
        return lookup_number(canary, *path, default=default, at=at)

    measure = Measure.CLES if text("effectSize", "measure") == "cles" else Measure.MEAN_RATIO
    neutral = 0.5 if measure is Measure.CLES else 1.0
    direction, nan_strategy = text("direction"), text("nanStrategy")
    factor = number(3.0, "outliers", "outlierFactor")
    return CanaryOptions(
        direction=Direction(direction) if direction in tuple(Direction) else Direction.EITHER,
        nan_strategy=NanStrategy.REPLACE if nan_strategy == "replace" else NanStrategy.REMOVE,
        remove_outliers=text("outliers", "strategy") == "remove",
        outlier_factor=factor,
        critical=flag("critical"),
        must_have_data=flag("mustHaveData"),
        muted=flag("muted"),
        effect=EffectSize(
            measure=measure,
            allowed_increase=number(neutral, "effectSize", "allowedIncrease"),
            allowed_decrease=number(neutral, "effectSize", "allowedDecrease"),
            critical_increase=number(neutral, "effectSize", "criticalIncrease"),
            critical_decrease=number(neutral, "effectSize", "criticalDecrease"),
        ),
    )


def lookup(tree: Json, *path: str) -> Json:
    """The value at a path of keys, None where there is none. A list on the way gives the values of its elements."""
    if not path or tree is None:
        return tree
    if isinstance(tree, Mapping):
        return lookup(tree.get(path[0]), *path[1:])
    if _is_list(tree):
        found = [value for item in tree if (value := lookup(item, *path)) is not None]
        return found or None
    return None


def lookup_number(tree: Json, *path: str, default: float, at: str = "") -> float:
    """The number at a path of keys, `default` where there is none. Raises ConfigError for anything else there."""
    value = lookup(tree, *path)
    return default if value is None else _number(value, ".".join((at, *path) if at else path))


def _metric(metric: Json, at: str) -> MetricConfig:
    if not isinstance(metric, Mapping):
        raise ConfigError(f"{at}: a metric is a mapping, found {_kind(metric)}")
    name, groups = metric.get("name"), metric.get("groups")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{at}.name: a name is wanted, found {_kind(name)}")
    if groups is not None and not _is_list(groups):
        raise ConfigError(f"{at}.groups: a list of names is wanted, found {_kind(groups)}")
    return MetricConfig(
        name=name,
        groups=tuple(str(group) for group in groups or ()),
        options=parse_options(
            lookup(metric, "analysisConfigurations", "canary"), at=f"{at}.analysisConfigurations.canary"
        ),
    )


def _number(value: Json, at: str) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if -_INT32 <= value < _INT32:
            return float(value)
        raise ConfigError(f"{at}: {value} does not fit 32 bits; write it with a decimal point")
    raise ConfigError(f"{at}: a number is wanted, found {_kind(value)} {value!r}")


def _is_list(value: object) -> TypeGuard[Sequence[Json]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _kind(value: object) -> str:
    names = {type(None): "nothing", bool: "a flag", int: "an integer", float: "a number", str: "the text"}
    return names.get(type(value), "a mapping" if isinstance(value, Mapping) else "a list")
