"""What all pages of unmask share: templates, one style, and a policy that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from unmask.apps.report import numbers


def environment() -> Environment:
    """Templates that escape everything, and spell out invisible characters of any string, so that
    no name can look like another."""
    return Environment(
        loader=PackageLoader("unmask.apps.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_spelled_out,
        auto_reload=False,
    )


def _spelled_out(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return numbers.visible(value)
    return value


def source_of(env: Environment, *names: str) -> str:
    """Templates as they are written, one after the other: style sheets."""
    assert env.loader is not None
    return "".join(env.loader.get_source(env, name)[0] for name in names)


def source_hash(source: str) -> str:
    """What a content security policy calls an inline style or script."""
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def still_policy(styles: Sequence[str]) -> str:
    """Content security policy of a page with inline pictures and these styles, and no scripts."""
    hashes = " ".join(source_hash(style) for style in styles)
    return (
        f"default-src 'none'; img-src data:; style-src {hashes}; base-uri 'none'; "
        "form-action 'none'"
    )
