"""Stored templates: immutable versions under a name, changed only by those who saw the latest."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis_service.api.errors import ApiError, invalid_field
from analysis_service.api.resources import Tokens, check_name, check_namespace, fitting, page_size, template_resource
from analysis_service.clock import Clock
from analysis_service.core.argument_problems import check_arguments
from analysis_service.core.lint import lint, load
from analysis_service.core.model import Argument
from analysis_service.core.problem import Problem, errors
from analysis_service.core.template import TEMPLATE_KINDS
from analysis_service.stores.base import AlreadyExists, NotFound, Store, StoreError, TemplateRecord


@dataclass(slots=True)
class Templates:
    """strict: whether Argo's traps are errors. live_from: how many live runs were made from a template."""

    store: Store
    clock: Clock
    tokens: Tokens
    strict: bool
    live_from: Callable[[str], int]

    async def create(self, namespace: str, text: str) -> tuple[TemplateRecord, list[Problem]]:
        """Version 1, and what is doubtful about it."""
        name, cluster, warnings = self._read(text)
        if cluster and namespace:
            raise invalid_field("namespace", "a ClusterAnalysisTemplate has no namespace; leave it empty")
        if not cluster:
            check_namespace(namespace)
        try:
            return await self.store.create_template(namespace, name, text, self.clock.now()), warnings
        except StoreError as error:
            raise of_template(error) from None

    async def get(self, resource: str, version: int = 0) -> TemplateRecord:
        namespace, name = template_resource(resource)
        if version < 0:
            raise invalid_field("version", f"{version} is negative; want 0 (the latest) or a version number")
        try:
            return await self.store.get_template(namespace, name, version or None)
        except StoreError as error:
            raise of_template(error) from None

    async def listing(self, namespace: str, size: int, token: str) -> tuple[tuple[TemplateRecord, ...], str]:
        where = None if namespace == "-" else namespace
        if where:
            check_namespace(where)
        purpose = f"templates:{namespace}"
        after = await self.tokens.after(purpose, token)
        page = await fitting(lambda limit: self.store.list_templates(where, limit, after), page_size(size), _weight)
        return page.items, await self.tokens.page(purpose, page.next_key)

    async def versions(self, resource: str, size: int, token: str) -> tuple[tuple[TemplateRecord, ...], str]:
        namespace, name = template_resource(resource)
        purpose = f"versions:{resource}"
        after = await self.tokens.after(purpose, token)
        try:
            page = await fitting(
                lambda limit: self.store.list_template_versions(namespace, name, limit, after), page_size(size), _weight
            )
        except StoreError as error:
            raise of_template(error) from None
        return page.items, await self.tokens.page(purpose, page.next_key)

    async def update(self, resource: str, text: str, etag: str) -> tuple[TemplateRecord, list[Problem]]:
        namespace, name = template_resource(resource)
        need_etag(etag)
        written, cluster, warnings = self._read(text)
        if written != name or cluster != (not namespace):
            kind = "ClusterAnalysisTemplate" if cluster else "AnalysisTemplate"
            raise invalid_field("text", f"this is {kind} {written!r}, but name says {resource}")
        try:
            return await self.store.update_template(namespace, name, text, etag, self.clock.now()), warnings
        except StoreError as error:
            raise of_template(error) from None

    async def delete(self, resource: str, etag: str) -> int:
        """How many live runs were made from it; they go on with their frozen copy."""
        namespace, name = template_resource(resource)
        need_etag(etag)
        try:
            await self.store.delete_template(namespace, name, etag)
        except StoreError as error:
            raise of_template(error) from None
        return self.live_from(resource)

    async def validate(self, text: str, args: tuple[Argument, ...], *, strict: bool) -> list[Problem]:
        """Everything wrong and everything doubtful; a bad document is an answer here, not an error."""
        strict = strict or self.strict
        found = list(lint(text, strict=strict))
        if args and not errors(found):
            template = load(text, strict=strict).parsed.template
            found += check_arguments(template, args, strict=strict)
        return found

    def _read(self, text: str) -> tuple[str, bool, list[Problem]]:
        """(name, cluster-wide, warnings)."""
        checked = load(text, strict=self.strict, kinds=TEMPLATE_KINDS)
        template = checked.parsed.template
        check_name("metadata.name", template.name)
        return template.name, template.cluster_scope, list(checked.problems)


def _weight(record: TemplateRecord) -> int:
    return len(record.text) * 4  # the most that UTF-8 makes of it


def need_etag(etag: str) -> None:
    if not etag:
        raise ApiError("FAILED_PRECONDITION", "ETAG_REQUIRED", "etag: missing; get the template and send its etag back")


def of_template(error: StoreError) -> Exception:
    """The store's error, said of a template."""
    if isinstance(error, NotFound):
        return ApiError("NOT_FOUND", "TEMPLATE_NOT_FOUND", str(error))
    if isinstance(error, AlreadyExists):
        return ApiError("ALREADY_EXISTS", "TEMPLATE_EXISTS", str(error))
    return error
