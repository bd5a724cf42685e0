"""Settings: every problem at once, no misspelt variable overlooked."""

from pathlib import Path

import pytest

from analysis_service.config import ConfigError, Settings, is_loopback


def problems(environ: dict[str, str], **flags: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environment(environ, **flags)
    return str(caught.value).splitlines()


def test_defaults_are_safe_and_flags_win() -> None:
    assert Settings.from_environment({}) == Settings()
    settings = Settings.from_environment({"TIDEGATE_STORE": "memory:", "TIDEGATE_STRICT": "yes"}, store="sqlite:x")
    assert (settings.store, settings.strict) == ("sqlite:x", True)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TIDEGATE_STRCIT": "1"}, "TIDEGATE_STRCIT: no such setting; did you mean TIDEGATE_STRICT?"),
        ({"TIDEGATE_XYZZY": "1"}, "TIDEGATE_XYZZY: no such setting"),
        ({"TIDEGATE_ARGO_ENVIRONMENT": "{}"}, "TIDEGATE_ARGO_ENVIRONMENT: no such setting"),
        ({"TIDEGATE_STRICT": "maybe"}, "TIDEGATE_STRICT: 'maybe' is neither true nor false"),
        ({"TIDEGATE_MAX_LIVE_RUNS": "ten"}, "TIDEGATE_MAX_LIVE_RUNS: 'ten' is not a whole number"),
        ({"TIDEGATE_DRAIN_SECONDS": "30s"}, "TIDEGATE_DRAIN_SECONDS: '30s' is not a number"),
        ({"TIDEGATE_DRAIN_SECONDS": "nan"}, "drain_seconds: nan is not 0 or more"),
        ({"TIDEGATE_MAX_CALLS": "0"}, "max_calls: 0 is not more than 0"),
        ({"TIDEGATE_LISTEN": "7443"}, "listen: '7443' is not host:port"),
        ({"TIDEGATE_LISTEN": "127.0.0.1:99999"}, "listen: '127.0.0.1:99999' is not host:port"),
        ({"TIDEGATE_ADMIN_LISTEN": "localhost"}, "admin_listen: 'localhost' is not host:port"),
        ({"TIDEGATE_STORE": "sqlite:"}, "store: 'sqlite:' is neither memory: nor sqlite:PATH"),
        ({"TIDEGATE_LOG_LEVEL": "loud"}, "log_level: 'loud' is none of debug, info, warning, error"),
        ({"TIDEGATE_TLS_KEY": "k"}, "tls_certificate and tls_key belong together; one is missing"),
        ({"TIDEGATE_TLS_CLIENT_CA": "c"}, "tls_client_ca needs tls_certificate and tls_key"),
        ({"TIDEGATE_SECRETS_DIRECTORY": "/nowhere"}, "secrets_directory: there is no folder /nowhere"),
    ],
)
def test_what_is_wrong(environ: dict[str, str], expected: str) -> None:
    assert any(line.startswith(expected) for line in problems(environ)), problems(environ)


def test_an_address_that_cannot_be_read_is_one_mistake() -> None:
    assert len(problems({"TIDEGATE_LISTEN": "example"})) == 1


def test_everything_is_said_at_once() -> None:
    wrong = {"TIDEGATE_STRICT": "?", "TIDEGATE_STORE": "x", "TIDEGATE_LISTEN": "0.0.0.0:1", "TIDEGATE_NOPE": ""}
    assert len(problems(wrong)) == 4


@pytest.mark.parametrize(
    "variable",
    [
        # read by others: the command line, tests, secrets
        "TIDEGATE_SERVER", "TIDEGATE_NAMESPACE", "TIDEGATE_TRACEBACK", "TIDEGATE_REQUIRE", "TIDEGATE_FAIL_AT",
        "TIDEGATE_BROKEN", "TIDEGATE_VECTORS", "TIDEGATE_SECRET_DD__API_KEY",
        # what Kubernetes sets in every pod where a Service is called tidegate
        "TIDEGATE_SERVICE_HOST", "TIDEGATE_SERVICE_PORT", "TIDEGATE_SERVICE_PORT_GRPC", "TIDEGATE_PORT",
        "TIDEGATE_PORT_7443_TCP", "TIDEGATE_PORT_7443_TCP_PROTO", "TIDEGATE_PORT_7443_TCP_ADDR",
        "TIDEGATE_CANARY_SERVICE_HOST", "TIDEGATE_CANARY_PORT_80_TCP",
        # somebody else's
        "TIDEGATES", "_TIDEGATE_COMPLETE",
    ],
)  # fmt: skip
def test_variables_of_others_are_left_alone(variable: str) -> None:
    Settings.from_environment({variable: "x"})


def test_providers_see_four_variables_and_no_more() -> None:
    environ = {"DD_API_KEY": "a", "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": "b", "AWS_SECRET_ACCESS_KEY": "c", "PATH": "d"}
    settings = Settings.from_environment(environ)
    assert settings.argo_environment == {"DD_API_KEY": "a", "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": "b"}


def test_paths_and_numbers_are_read(tmp_path: Path) -> None:
    environ = {
        "TIDEGATE_TLS_CERTIFICATE": "c.pem", "TIDEGATE_TLS_KEY": "k.pem", "TIDEGATE_LISTEN": "[::]:0",
        "TIDEGATE_SECRETS_DIRECTORY": str(tmp_path), "TIDEGATE_SLOW_WATCHER_SECONDS": "2.5",
        "TIDEGATE_ALLOW_PRIVATE_ADDRESSES": "off", "TIDEGATE_TLS_CLIENT_CA": "",
    }  # fmt: skip
    settings = Settings.from_environment(environ)
    assert (settings.tls_certificate, settings.secrets_directory) == (Path("c.pem"), tmp_path)
    assert (settings.slow_watcher_seconds, settings.allow_private_addresses) == (2.5, False)
    assert settings.tls_client_ca is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("localhost:1", True), ("[::1]:1", True),
        ("0.0.0.0:1", False), ("[::]:1", False), (":1", False), ("10.0.0.1:1", False),
        ("127.evil.example:1", False), ("127.0.0.1.evil.example:1", False), ("localhost.evil:1", False),
    ],
)  # fmt: skip
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
