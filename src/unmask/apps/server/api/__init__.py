"""The HTTP interface: `create_app` makes the application that `unmask serve` runs."""

from unmask.apps.server.api.app import create_app
from unmask.apps.server.api.service import Patience

__all__ = ["Patience", "create_app"]
