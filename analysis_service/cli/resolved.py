"""Templates on the command line, composed and with their arguments filled in: what `render` and `query` start from."""

from collections.abc import Sequence
from dataclasses import dataclass

import click
from msgspec.structs import replace

from analysis_service.cli.documents import File, refuse_bad_documents
from analysis_service.core.arguments import ArgumentError, resolve_metric
from analysis_service.core.model import Argument, Metric, RunSpec, Template, TemplateRef
from analysis_service.core.problem import Problem
from analysis_service.core.secret_arguments import MASK, reference, with_placeholders
from analysis_service.core.start import start
from analysis_service.core.template import read_all
from analysis_service.core.wire import RUN


class CannotCompose(click.ClickException):
    """Everything that keeps the templates from running, already written out."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Composed:
    """spec: secrets by reference, tags still in the metrics. names: the metrics' names, tags filled in."""

    spec: RunSpec
    names: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()

    def masked(self) -> tuple[Metric, ...]:
        """The metrics with a mask where a secret would stand."""
        spec = self.spec
        secret = {a.name for a in spec.args if reference(a, strict=spec.strict) is not None}
        return self.metrics([replace(a, value=MASK) if a.name in secret else a for a in spec.args])

    def metrics(self, args: Sequence[Argument]) -> tuple[Metric, ...]:
        """The metrics with these arguments in them. Raises CannotCompose."""
        try:
            return tuple(resolve_metric(metric, args) for metric in self.spec.metrics)
        except ArgumentError as error:
            raise CannotCompose(str(error)) from None


def compose(files: Sequence[File], args: Sequence[Argument], *, strict: bool) -> Composed:
    """Raises BadDocuments or CannotCompose with everything that is wrong."""
    refuse_bad_documents(files, strict=strict)
    documents = [one for _, data in files for one in read_all(data, skip_foreign=True) if one.kind]
    if len(documents) > 1 and any(one.kind == RUN for one in documents):
        raise CannotCompose("an AnalysisRun stands alone; give one AnalysisRun, or templates")
    templates = [one.template for one in documents]
    known = {(template.cluster_scope, template.name): template for template in templates}

    def lookup(ref: TemplateRef) -> Template | None:
        return known.get((ref.cluster_scope, ref.template_name))

    spec, problems = start(templates, lookup, args=args, strict=strict)
    wrong = [problem for problem in problems if problem.severity == "error"]
    if spec is None or wrong:
        raise CannotCompose("\n".join(map(str, wrong)) + _remedy(wrong))
    return _named(spec, tuple(problem for problem in problems if problem.severity == "warning"))


def _remedy(wrong: Sequence[Problem]) -> str:
    if any(problem.code == "MissingArg" for problem in wrong):
        return "\nGive arguments with --arg NAME=VALUE or --arg-file FILE."
    if any(problem.code == "TemplateNotFound" for problem in wrong):
        return "\nGive the files of referenced templates too."
    return ""


def _named(spec: RunSpec, warnings: tuple[Problem, ...]) -> Composed:
    found = Composed(spec, (), warnings)
    names = tuple(metric.name for metric in found.metrics(with_placeholders(spec.args, strict=spec.strict)))
    return Composed(spec, names, warnings)
