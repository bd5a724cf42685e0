"""Settings of the service: environment variables and flags become one frozen value, checked as a whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ARGO_VARIABLES = ("ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", "DD_API_KEY", "DD_APP_KEY", "DD_ADDRESS")
"""The only variables a provider may see (as Argo's providers read them)."""


class ConfigError(Exception):
    """Everything that is wrong with the settings, one line each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """store: `memory:` or `sqlite:PATH`. listen: host:port of gRPC. admin_listen: host:port of /metrics and probes."""

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
    drain_seconds: float = 30.0
    argo_environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **flags: object) -> "Settings":
        """Flags beat TIDEGATE_* variables, which beat the defaults. Raises ConfigError with every problem."""
        problems: list[str] = []
        values: dict[str, object] = {}
        known = {f"TIDEGATE_{name.upper()}": name for name in cls.__dataclass_fields__ if name != "argo_environment"}
        for variable, name in known.items():
            if variable in environ:
                try:
                    values[name] = _read(cls.__dataclass_fields__[name].type, environ[variable])
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
            if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]*):\d{1,5}", getattr(self, name)):
                found.append(f"{name}: {getattr(self, name)!r} is not host:port")
        if not re.fullmatch(r"memory:|sqlite:.+", self.store):
            found.append(f"store: {self.store!r} is neither memory: nor sqlite:PATH")
        if bool(self.tls_certificate) != bool(self.tls_key):
            found.append("tls_certificate and tls_key belong together; one is missing")
        if self.tls_client_ca and not self.tls_certificate:
            found.append("tls_client_ca needs tls_certificate and tls_key")
        if self.log_level.lower() not in ("debug", "info", "warning", "error"):
            found.append(f"log_level: {self.log_level!r} is none of debug, info, warning, error")
        if not self.tls_certificate and not is_loopback(self.listen):
            found.append(
                f"listen: {self.listen} is reachable from outside and has no TLS; "
                "set tls_certificate and tls_key, or listen on 127.0.0.1"
            )
        return found


def is_loopback(address: str) -> bool:
    """Whether host:port can only be reached from this machine."""
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _read(kind: object, text: str) -> object:
    if kind is bool or kind == "bool":
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ValueError(f"{text!r} is neither true nor false")
    if kind is int or kind == "int":
        return int(text)
    if kind is float or kind == "float":
        return float(text)
    return Path(text) if "Path" in str(kind) else text
