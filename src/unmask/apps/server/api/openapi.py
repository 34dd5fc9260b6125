"""The OpenAPI description: exactly what the service answers, no more and no less."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from unmask import __version__
from unmask.apps.server.api.problem import Problem

ABOUT = (
    "Tells manipulated faces from real ones, and says how sure that is. Submit a file, look at "
    "its analysis until it is done, take the result. Files come as uploads only; addresses of "
    "other sites are never fetched. Errors are application/problem+json (RFC 9457)."
)
TAGS = {
    "analyses": "One file each.",
    "batches": "Files that belong together.",
    "files": "What belongs to an analysis as files.",
    "annotation": "Masks painted by hand, where the service has an annotation project.",
    "service": "What the service is, and how it does.",
    "sessions": "For browsers; programs send their token with each request.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of an application, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title="unmask",
            version=__version__,
            summary="Manipulated faces, with error rates",
            description=ABOUT,
            routes=app.routes,
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        made["tags"] = _tags(made)
        app.openapi_schema = made
    return app.openapi_schema


def _tags(made: dict[str, Any]) -> list[dict[str, str]]:
    """The tags that some operation has, in the order of `TAGS`."""
    used = {
        tag
        for methods in made["paths"].values()
        for operation in methods.values()
        for tag in operation.get("tags", [])
    }
    names = [*(name for name in TAGS if name in used), *sorted(used - set(TAGS))]
    return [{"name": name, "description": TAGS.get(name, "")} for name in names]
