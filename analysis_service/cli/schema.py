"""`tidegate schema`: the JSON Schema of templates, from the same table that reads them."""

import click

from analysis_service.cli.show import put


@click.command("schema", short_help="Print the JSON Schema of templates.")
def command() -> None:
    """Print the JSON Schema (draft-07) of AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun.

    For editors: save it, and put this line on top of a template:

    \b
      # yaml-language-server: $schema=tidegate.schema.json
    """
    import json

    from analysis_service.core.schema import json_schema

    put(json.dumps(json_schema(), indent=2), nl=True)
