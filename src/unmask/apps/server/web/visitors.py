"""Who looks at a page: the caller of the HTTP interface, sent to the login page if unknown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, HTTPException, Request

from unmask.apps.server.api.callers import identify
from unmask.apps.server.api.problem import ProblemError
from unmask.apps.server.api.service import service_of


def visitor(scope: str | None) -> Callable[[Request], Awaitable[str]]:
    """A dependency that gives the owner of the jobs that a page may show.

    Args:
        scope: one of `contract.SCOPES` that the visitor's token must have; None: any.

    Raises:
        HTTPException: 303 to the login page where nobody is logged in, or to one that says which
            scope is missing.
        ProblemError: 429 after too many wrong tokens.
    """

    async def owner(request: Request) -> str:
        try:
            caller = await identify(request)
        except ProblemError as error:
            if error.status != 401:
                raise
            raise _to(f"/login?next={quote(request.url.path)}") from error
        if scope is not None and scope not in caller.scopes:
            raise _to(f"/forbidden?scope={scope}")
        return caller.owner

    return owner


Reader = Annotated[str, Depends(visitor("read"))]
Annotator = Annotated[str, Depends(visitor("annotate"))]
Anybody = Annotated[str, Depends(visitor(None))]


def frame(request: Request, page: str, /, **data: object) -> dict[str, Any]:
    """What the frame around every page is given; `data` is what the page's scripts get."""
    return {
        "page": page,
        "who": getattr(request.state, "owner", ""),
        "annotates": service_of(request).settings.annotations is not None,
        "data": data,
    }


def _to(place: str) -> HTTPException:
    return HTTPException(303, "Look at the address in Location.", headers={"Location": place})
