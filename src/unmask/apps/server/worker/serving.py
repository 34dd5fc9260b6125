"""Everything `unmask serve` keeps running, in one process and its workers."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from unmask.apps.server.contract import Store, utc_now
from unmask.apps.server.model import read_own_thresholds
from unmask.apps.server.settings import ServerSettings, is_loopback
from unmask.apps.server.store import open_store
from unmask.apps.server.worker.supervisor import Supervisor
from unmask.errors import ConfigError, UnmaskError

if TYPE_CHECKING:
    import uvicorn

TICK_S = 0.2
BACKLOG = 256
CLOSE_S = 5
"""Seconds that open requests get to end when the service stops."""


def serve(
    settings: ServerSettings,
    *,
    api: bool,
    say: Callable[[str], None],
    told: Callable[[], int],
) -> None:
    """Run until told to stop; then the service ends first, and the workers after it.

    Args:
        settings: `settings.workers` are started.
        api: whether to answer requests.
        say: tells a person.
        told: how often it was told to stop.

    Raises:
        ConfigError: the calibration cannot be used, the address cannot be used, the store cannot
            be opened, or the workers cannot work with these settings.
    """
    read_own_thresholds(settings)  # before anything is made: a wrong file is refused here
    store = open_store(settings)
    try:
        if api:
            check_exposure(settings, store)
        door = _listen(settings) if api else None
        supervisor = Supervisor(settings, store.jobs, say=say)
        try:
            front = _Front(settings, store, door) if door is not None else None
            say(f"data in {settings.data}")
            try:
                while not told():
                    supervisor.tick()
                    if front is not None:
                        front.look(say)
                    time.sleep(TICK_S)
            finally:
                say("stopping")
                if front is not None:
                    front.stop()
        finally:
            supervisor.stop()
    finally:
        store.close()


def check_exposure(settings: ServerSettings, store: Store) -> None:
    """Other machines may only reach a service that asks for a token.

    Raises:
        ConfigError: the address is not loopback, and there is no token that is valid.
    """
    if is_loopback(settings.host):
        return
    now = utc_now()
    for token in store.tokens.all():
        if not token.revoked and (token.expires is None or token.expires > now):
            return
    raise ConfigError(
        f"Other machines can reach {settings.host}, and there is no token to keep them out.",
        f"Make one with: unmask tokens create NAME --data {settings.data}",
    )


def _listen(settings: ServerSettings) -> socket.socket:
    """Take the address before anything is started."""
    host, port = settings.host, settings.port
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"The port {port} of {host} is taken.",
                "Choose another with --port, or end the other service; --port 0 takes a free one.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ConfigError(
                f"The port {port} may not be used.", "Choose one above 1023 with --port."
            ) from error
        raise ConfigError(
            f"The address {host} cannot be used: {error.strerror or error}.",
            "Give an address of this machine with --host.",
        ) from error


class _Front:
    """The web server, in a thread of its own: signals are for whoever started it."""

    def __init__(self, settings: ServerSettings, store: Store, door: socket.socket) -> None:
        import uvicorn

        from unmask.apps.server.api import create_app

        config = uvicorn.Config(
            create_app(settings, store),
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=CLOSE_S,
        )
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._door, self._announced = door, False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._door])
        except BaseException as error:  # `look` raises it where it is seen
            self._error = error

    def look(self, say: Callable[[str], None]) -> None:
        """Say once where it answers.

        Raises:
            UnmaskError: it has ended by itself.
        """
        if not self._thread.is_alive():
            raise UnmaskError(
                f"The service ended by itself: {self._error or 'it could not start'}."
            )
        if self._server.started and not self._announced:
            self._announced = True
            say(f"listening on {_address(self._door)}")

    def stop(self) -> None:
        """Take no more requests, let the open ones end, and wait for that."""
        self._server.should_exit = True
        self._thread.join(CLOSE_S + 2.0)
        self._door.close()


def _address(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
