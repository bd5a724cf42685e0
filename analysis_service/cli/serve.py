"""`tidegate serve`: run the analysis service until it is told to stop."""

import os
import sys
from pathlib import Path
from typing import Any

import click


@click.command("serve", short_help="Run the analysis service.")
@click.option("--store", help="memory: or sqlite:PATH.  [env TIDEGATE_STORE; default sqlite:tidegate.db]")
@click.option("--listen", metavar="HOST:PORT", help="gRPC.  [env TIDEGATE_LISTEN; default 127.0.0.1:7443]")
@click.option(
    "--admin-listen",
    metavar="HOST:PORT",
    help="/metrics, /livez, /readyz.  [env TIDEGATE_ADMIN_LISTEN; 127.0.0.1:7480]",
)
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="PEM; needed to listen beyond this machine.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM, belongs to the certificate.")
@click.option("--tls-client-ca", type=click.Path(path_type=Path), help="Demand client certificates of this CA.")
@click.option("--strict", is_flag=True, default=None, help="Turn Argo's traps off for every run.")
@click.option("--secrets-directory", type=click.Path(path_type=Path), help="Secrets as files: NAMESPACE/NAME/KEY.")
@click.option("--deny-private", is_flag=True, help="Providers may not reach private addresses.")
@click.option("--deny-loopback", is_flag=True, help="Providers may not reach this machine itself.")
@click.option("--reflection", is_flag=True, default=None, help="Offer gRPC reflection (for development).")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def command(**options: Any) -> None:
    """Run the analysis service: gRPC on one port, metrics and probes on another.

    Every option has an environment variable TIDEGATE_<OPTION>; options win. SIGTERM drains: nothing new is started,
    what is being asked is recorded, and the runs are given back. Whatever was acknowledged survives kill -9.
    """
    import asyncio

    import uvloop

    from analysis_service.config import ConfigError, Settings
    from analysis_service.main import StartError, serve
    from analysis_service.stores.base import StoreError
    from analysis_service.telemetry import configure_logging

    denied = {
        "allow_private_addresses": False if options.pop("deny_private") else None,
        "allow_loopback_addresses": False if options.pop("deny_loopback") else None,
    }
    try:
        settings = Settings.from_environment(os.environ, **options, **denied)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    configure_logging(settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(serve(settings)))
    except StartError as error:
        raise click.UsageError(str(error)) from None
    except StoreError as error:
        click.echo(f"The store cannot be opened: {error}", err=True)
        sys.exit(20)
