"""/openapi.json, and /docs: the same for people, without a script or another host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from unmask.apps.server.api.openapi import describe
from unmask.apps.server.api.problem import KINDS, URN

router = APIRouter(include_in_schema=False)

_METHODS = ("get", "post", "put", "patch", "delete")


@router.get("/openapi.json")
def openapi(request: Request) -> JSONResponse:
    """The OpenAPI description."""
    return JSONResponse(describe(request.app))


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """The description as a page."""
    return HTMLResponse(_page(json.dumps(describe(request.app))))


@router.get("/docs.css")
def style() -> Response:
    """The page's style sheet."""
    return Response(_style(), media_type="text/css")


@cache
def _page(described: str) -> str:
    document = json.loads(described)
    tags = [
        {**tag, "operations": [o for o in operations(document) if tag["name"] in o["tags"]]}
        for tag in document["tags"]
    ]
    env = Environment(
        loader=PackageLoader("unmask.apps.server.api", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["kind"] = kind_of
    schemas = document["components"]["schemas"]
    template = env.get_template("docs.html.j2")
    return template.render(info=document["info"], tags=tags, schemas=schemas, kinds=KINDS, urn=URN)


@cache
def _style() -> bytes:
    return resources.files(__package__ or "").joinpath("templates", "docs.css").read_bytes()


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation of an OpenAPI document, with its path and method, in order."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                found = methods[method]
                yield {
                    "path": path,
                    "method": method.upper(),
                    "tags": found.get("tags", []),
                    "summary": found.get("summary", ""),
                    "description": found.get("description", ""),
                    "parameters": found.get("parameters", []),
                    "bodies": _fields(document, found),
                    "responses": found["responses"],
                    "secured": bool(found.get("security")),
                }


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, list[Any]]:
    """(name, schema, whether it is required) of a request's fields, by content type."""
    found: dict[str, list[Any]] = {}
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        if "$ref" in schema:
            schema = document["components"]["schemas"][kind_of(schema)]
        needed = schema.get("required", [])
        fields = schema.get("properties", {})
        found[kind] = [(name, field, name in needed) for name, field in fields.items()]
    return found


def kind_of(schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words: `integer from 1 to 500`, `Problem`, `string or null`.

    >>> kind_of({"anyOf": [{"$ref": "#/components/schemas/Result"}, {"type": "null"}]})
    'Result or null'
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    words = ["file" if schema.get("format") == "binary" else str(schema.get("type", "any"))]
    for key, word in (("minimum", "from"), ("maximum", "to")):
        if key in schema:
            words.append(f"{word} {schema[key]:g}")
    return " ".join(words)
