"""What a decoding process and its parent say to each other over a socket.

Messages are JSON, and pixels follow as raw bytes: nothing that comes from a process which has
handled hostile files is ever unpickled, and the parent reads pixels straight into its own arrays.
"""

from __future__ import annotations

import json
import os
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from unmask.errors import MediaError
from unmask.media.decoded import Failure, Media
from unmask.media.limits import Limits
from unmask.results import REASONS, InputInfo
from unmask.types import Frame, UInt8Image

_STALL_SECONDS = 60.0
_MESSAGE_BYTES = 2**24


class WireError(Exception):
    """The other side said something that no working process says, or stopped midway."""


def send(connection: Connection, kind: str, **content: Any) -> None:
    """Send one message of JSON values."""
    connection.send_bytes(json.dumps({"kind": kind} | content).encode())


def receive(connection: Connection) -> dict[str, Any]:
    """Receive one message.

    Raises:
        EOFError, OSError: the other side is gone.
        WireError: what came is no message.
    """
    try:
        message = json.loads(connection.recv_bytes(_MESSAGE_BYTES))
    except ValueError as error:
        raise WireError(str(error)) from error
    if not isinstance(message, dict) or "kind" not in message:
        raise WireError("a message without a kind")
    return message


def send_outcome(connection: Connection, outcome: Media | Failure) -> None:
    """Send a decoded input: a header, then the pixels of every frame."""
    info, failed = outcome.info.model_dump(), outcome.frames_failed
    if isinstance(outcome, Failure):
        error = outcome.error
        told = [error.status, error.reason, error.message, error.hint]
        send(connection, "failure", info=info, frames_failed=failed, error=told)
        return
    frames = [
        {"shape": f.image.shape, "index": f.index, "time": f.time, "grid": f.grid}
        for f in outcome.frames
    ]
    send(
        connection,
        "media",
        info=info,
        frames_failed=failed,
        reasons=outcome.reasons,
        frames=frames,
    )
    for frame in outcome.frames:
        left = np.ascontiguousarray(frame.image).data.cast("B")
        while left:
            left = left[os.write(connection.fileno(), left) :]


def read_outcome(
    connection: Connection, message: dict[str, Any], max_frames: int, limits: Limits
) -> Media | Failure:
    """Complete the outcome whose header is `message`.

    Args:
        connection: the pixels are still in it.
        message: of kind media or failure.
        max_frames, limits: more than these is refused before memory is set aside for it.

    Raises:
        EOFError, OSError: the other side is gone.
        WireError: the header makes no sense, or the pixels stopped coming.
    """
    try:
        info = InputInfo.model_validate(message["info"])
        failed = int(message["frames_failed"])
        if message["kind"] == "failure":
            return Failure(info, MediaError(*message["error"]), failed)
        reasons = tuple(reason for reason in message["reasons"] if reason in REASONS)
        if not 0 < len(message["frames"]) <= max_frames:
            raise WireError(f"{len(message['frames'])} frames")
        frames = tuple(_read_frame(connection, head, limits) for head in message["frames"])
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(str(error)) from error
    return Media(info, frames, failed, reasons)


def _read_frame(connection: Connection, head: dict[str, Any], limits: Limits) -> Frame:
    height, width, channels = (int(n) for n in head["shape"])
    if channels != 3 or min(height, width) < 1 or height * width > limits.max_pixels:
        raise WireError(f"a frame of shape {head['shape']}")
    image: UInt8Image = np.empty((height, width, 3), dtype=np.uint8)
    left = image.data.cast("B")
    while left:
        if not connection.poll(_STALL_SECONDS):
            raise WireError("the pixels stopped coming")
        got = os.readv(connection.fileno(), [left])
        if got == 0:
            raise EOFError
        left = left[got:]
    grid = head["grid"]
    return Frame(image, int(head["index"]), head["time"], (grid[0], grid[1]) if grid else None)
