"""Settings of the service: environment variables and flags become one frozen value, checked as a whole."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

ARGO_VARIABLES = ("ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", "DD_API_KEY", "DD_APP_KEY", "DD_ADDRESS")
"""The only variables a provider may see (as Argo's providers read them)."""

PREFIX = "TIDEGATE_"
SECRET_PREFIX = "TIDEGATE_SECRET_"  # noqa: S105 - the name of variables, not a secret
OTHER_VARIABLES = frozenset(
    PREFIX + name for name in ("REQUIRE", "TRACEBACK", "SERVER", "NAMESPACE", "FAIL_AT", "BROKEN", "VECTORS")
)
"""Read by the command line or by tests, not settings of the service."""

_SERVICE_LINK = re.compile(r"TIDEGATE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
"""What Kubernetes puts into every pod's environment for a Service named tidegate."""

LOG_LEVELS = ("debug", "info", "warning", "error")
_POSITIVE = ("max_live_runs", "max_questions_in_flight", "max_calls", "max_watchers", "slow_watcher_seconds")
_NOT_NEGATIVE = ("drain_seconds", "drain_delay_seconds")


class ConfigError(Exception):
    """Everything that is wrong with the settings, one line each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """store: `memory:` or `sqlite:PATH`. listen: host:port of gRPC. admin_listen: host:port of /metrics and probes.

    max_calls: calls worked on at once; more are told to come back. drain_delay_seconds: between saying that this
    service is no longer ready and refusing calls, for load balancers to notice (not after SIGINT).
    slow_watcher_seconds: how long a watcher may not read before it is cut off.
    """

    store: str = "sqlite:tidegate.db"
    listen: str = "127.0.0.1:7443"
    admin_listen: str = "127.0.0.1:7480"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    strict: bool = False
    allow_private_addresses: bool = True
    allow_loopback_addresses: bool = True
    secrets_directory: Path | None = None
    controller_namespace: str = "argo-rollouts"
    log_level: str = "info"
    reflection: bool = False
    max_live_runs: int = 100_000
    max_questions_in_flight: int = 200
    max_calls: int = 200
    max_watchers: int = 1000
    slow_watcher_seconds: float = 30.0
    drain_seconds: float = 30.0
    drain_delay_seconds: float = 3.0
    argo_environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **flags: object) -> "Settings":
        """Flags beat TIDEGATE_* variables, which beat the defaults. Raises ConfigError with every problem."""
        types = {f.name: f.type for f in fields(cls) if f.name != "argo_environment"}
        known = {f"{PREFIX}{name.upper()}": name for name in types}
        problems = _unknown(environ, known)
        values: dict[str, object] = {}
        for variable, name in known.items():
            if variable in environ:
                try:
                    values[name] = _read(types[name], environ[variable])
                except ValueError as error:
                    problems.append(f"{variable}: {error}")
        values.update({name: value for name, value in flags.items() if value is not None})
        values["argo_environment"] = {name: environ[name] for name in ARGO_VARIABLES if name in environ}
        settings = cls(**values)  # type: ignore[arg-type]
        problems += settings.problems()
        if problems:
            raise ConfigError("\n".join(problems))
        return settings

    def problems(self) -> list[str]:
        """What cannot work, in sentences."""
        found = []
        for name in ("listen", "admin_listen"):
            address = getattr(self, name)
            match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]*):(\d{1,5})", address)
            if match is None or int(match[2]) > 65_535:
                found.append(f"{name}: {address!r} is not host:port")
            elif name == "listen" and not self.tls_certificate and not is_loopback(address):
                found.append(
                    f"listen: {address} is reachable from outside and has no TLS; "
                    "set tls_certificate and tls_key, or listen on 127.0.0.1"
                )
        if not re.fullmatch(r"memory:|sqlite:.+", self.store):
            found.append(f"store: {self.store!r} is neither memory: nor sqlite:PATH")
        if bool(self.tls_certificate) != bool(self.tls_key):
            found.append("tls_certificate and tls_key belong together; one is missing")
        if self.tls_client_ca and not self.tls_certificate:
            found.append("tls_client_ca needs tls_certificate and tls_key")
        if self.log_level.lower() not in LOG_LEVELS:
            found.append(f"log_level: {self.log_level!r} is none of {', '.join(LOG_LEVELS)}")
        for name in (*_POSITIVE, *_NOT_NEGATIVE):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (value == 0 and name in _POSITIVE):
                found.append(f"{name}: {value} is not {'more than 0' if name in _POSITIVE else '0 or more'}")
        if self.secrets_directory is not None and not self.secrets_directory.is_dir():
            found.append(f"secrets_directory: there is no folder {self.secrets_directory}")
        return found


def is_loopback(address: str) -> bool:
    """Whether host:port can only be reached from this machine."""
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def _unknown(environ: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """A misspelt variable would silently leave its default in force."""
    candidates = [*known, *OTHER_VARIABLES]
    found = []
    for variable in sorted(environ):
        foreign = variable.startswith(SECRET_PREFIX) or _SERVICE_LINK.fullmatch(variable)
        if variable.startswith(PREFIX) and not foreign and variable not in candidates:
            close = difflib.get_close_matches(variable, candidates, 1)
            found.append(f"{variable}: no such setting" + (f"; did you mean {close[0]}?" if close else ""))
    return found


def _read(kind: object, text: str) -> object:
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ValueError(f"{text!r} is neither true nor false")
    if kind is int:
        return _number(int, text, "a whole number")
    if kind is float:
        return _number(float, text, "a number")
    if kind is str:
        return text
    return Path(text) if text else None


def _number(kind: type[int] | type[float], text: str, want: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {want}") from None
