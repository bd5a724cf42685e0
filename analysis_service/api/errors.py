"""Every failure a caller can see, and the ONE switch from our exceptions to status codes.

A caller gets: a code, a reason from the closed list in analysis.proto (ErrorReason), a sentence, and for bad input
every violated field. Never an exception's own text unless that text was written for users.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from analysis_service.core.problem import DocumentError, Problem
from analysis_service.secrets import SecretError, SecretForbidden, SecretsUnreachable
from analysis_service.stores import base as stores

DOMAIN = "tidegate"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is wrong. `reason` is stable (UnknownField, WrongType, ...)."""

    field: str
    description: str
    reason: str = ""


@dataclass(slots=True)
class ApiError(Exception):
    """code: a gRPC status name. reason: a name of ErrorReason. retry_after_seconds: when trying again makes sense."""

    code: str
    reason: str
    message: str
    violations: Sequence[Violation] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        return self.message


def invalid_field(name: str, description: str) -> ApiError:
    violation = Violation(name, description, "InvalidField")
    return ApiError("INVALID_ARGUMENT", "INVALID_FIELD", f"{name}: {description}", [violation])


def invalid_document(problems: Sequence[Problem], reason: str = "INVALID_TEMPLATE") -> ApiError:
    """All problems of a document as one error; the message names the first and counts the rest."""
    violations = [Violation(p.path, _with_place(p), p.code) for p in problems]
    first = f"{violations[0].field}: {violations[0].description}" if violations[0].field else violations[0].description
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return ApiError("INVALID_ARGUMENT", reason, first + more, violations)


def _with_place(problem: Problem) -> str:
    place = f"line {problem.line}, column {problem.column}: " if problem.line else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{place}{problem.message}{hint}"


def of_secret(error: SecretError) -> ApiError:
    text = str(error)
    match error:
        case SecretForbidden():
            return ApiError("PERMISSION_DENIED", "SECRET_FORBIDDEN", text, [Violation("args", text, "SecretForbidden")])
        case SecretsUnreachable():
            return ApiError("UNAVAILABLE", "SECRETS_UNAVAILABLE", text, retry_after_seconds=1.0)
        case _:
            return ApiError(
                "FAILED_PRECONDITION", "SECRET_NOT_FOUND", text, [Violation("args", text, "SecretNotFound")]
            )


def from_exception(error: BaseException) -> ApiError:
    """What a caller is told of any exception."""
    match error:
        case ApiError():
            return error
        case DocumentError():
            return invalid_document(error.problems)
        case stores.EtagMismatch():
            text = f"{error}; its etag is now {error.current}"
            return ApiError("ABORTED", "ETAG_MISMATCH", text, metadata={"current_etag": error.current})
        case stores.RequestIdReused():
            return ApiError("ALREADY_EXISTS", "REQUEST_ID_REUSED", str(error), metadata={"run_id": error.run_id})
        case stores.NotTerminal():
            return ApiError("FAILED_PRECONDITION", "RUN_NOT_FINISHED", str(error))
        case stores.RelistRequired():
            return ApiError("OUT_OF_RANGE", "RELIST_REQUIRED", str(error))
        case stores.Damaged():
            return ApiError("DATA_LOSS", "DATA_LOSS_DETECTED", str(error))
        case stores.Unavailable():
            return ApiError("UNAVAILABLE", "STORE_UNAVAILABLE", str(error), retry_after_seconds=1.0)
        case stores.BadArgument():
            return ApiError("INVALID_ARGUMENT", "INVALID_FIELD", str(error))
        case stores.NotFound():
            return ApiError("NOT_FOUND", "RUN_NOT_FOUND", str(error))
        case stores.AlreadyExists():
            return ApiError("ALREADY_EXISTS", "RUN_EXISTS", str(error))
        case SecretError():
            return of_secret(error)
        case _:
            incident = secrets.token_hex(6)
            _log.error("internal error", incident_id=incident, exc_info=error)
            return ApiError(
                "INTERNAL",
                "INTERNAL_ERROR",
                f"Something went wrong inside Tidegate; its log has the details under incident {incident}.",
                metadata={"incident_id": incident},
            )
