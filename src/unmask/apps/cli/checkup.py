"""The checks of `unmask doctor`: each tries one thing for real."""

from __future__ import annotations

import importlib.util
import io
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

REINSTALL = "Install again: pip install --force-reinstall unmask"
PACKAGES = ("unmask", "torch", "torchvision", "timm", "av", "pillow", "pillow-heif", "numpy",
            "opencv-python-headless", "safetensors", "pydantic")  # fmt: skip
EXTRAS = {
    "data": ("polars",),
    "landmarks": ("ai_edge_litert",),
    "openvino": ("openvino",),
    "postgresql": ("psycopg",),
    "serve": ("fastapi", "python_multipart", "prometheus_client", "sqlalchemy", "uvicorn"),
    "train": ("lightning", "polars"),
}
"""Optional parts: extra -> modules that it brings."""
STILLS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF")
SUFFIX = {"JPEG": ".jpg", "HEIF": ".heic"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: of the thing.
        ok: it works; False: scanning cannot do without; None: it is only said.
        detail: version, device, or what went wrong.
        hint: what to do about it.
    """

    name: str
    ok: bool | None
    detail: str
    hint: str | None = None


Check = Callable[[], Iterator[Finding]]


def examine(check: Check) -> list[Finding]:
    """Run a check; whatever it raises is a finding too, so that the others still run."""
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except Exception as error:  # a broken installation may raise anything
        name = check.__name__.strip("_").replace("_", " ")
        hint = getattr(error, "hint", None) or REINSTALL
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        findings.append(Finding(name, False, message, hint))
    return findings


def _versions() -> Iterator[Finding]:
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            yield Finding(name, True, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed", REINSTALL)


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("cpu", True, f"{torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        yield Finding(f"cuda:{index}", None, torch.cuda.get_device_name(index))
    if torch.backends.mps.is_available():
        yield Finding("mps", None, "available")


def _decoders() -> Iterator[Finding]:
    """Write a small file of each kind, and read it as a scan would."""
    from unmask.media import Limits, try_decode
    from unmask.media.decoded import Failure

    with tempfile.TemporaryDirectory() as folder:
        for kind, path in [*_stills(Path(folder)), *_clips(Path(folder))]:
            decoded = try_decode(str(path), max_frames=2, limits=Limits())
            if isinstance(decoded, Failure):
                yield Finding(f"decode {kind}", False, decoded.error.message, REINSTALL)
            else:
                yield Finding(f"decode {kind}", True, f"{len(decoded.frames)} frame(s)")


def _stills(folder: Path) -> Iterator[tuple[str, Path]]:
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    gradient = Image.linear_gradient("L").convert("RGB").resize((64, 48))
    for kind in STILLS:
        path = folder / f"still{SUFFIX.get(kind, '.' + kind.lower())}"
        buffer = io.BytesIO()
        try:
            gradient.save(buffer, kind)
        except (KeyError, OSError):  # this build can read but not write it: nothing to try with
            continue
        path.write_bytes(buffer.getvalue())
        yield kind, path


def _clips(folder: Path) -> Iterator[tuple[str, Path]]:
    import av
    import numpy as np

    for codec, suffix in (("h264", ".mp4"), ("mpeg4", ".avi"), ("libvpx-vp9", ".webm")):
        path = folder / f"clip{suffix}"
        try:
            encoder = av.CodecContext.create(codec, "w")
        except av.FFmpegError:  # this build has no such encoder: nothing to try with
            continue
        del encoder
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for level in (40, 120, 200):
                image = np.full((48, 64, 3), level, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        yield f"{codec} in {suffix[1:]}", path


def _face_weights() -> Iterator[Finding]:
    folder = resources.files("unmask").joinpath("faces", "weights")
    found = sorted(f.name for f in folder.iterdir() if f.name.endswith(".safetensors"))
    if found:
        yield Finding("face detector", True, ", ".join(found))
    else:
        yield Finding("face detector", False, "its weights are missing", REINSTALL)


def _default_model() -> Iterator[Finding]:
    """Loading checks the weights against the hash in their card."""
    from unmask.apps.cli import backend

    detector = backend.make_detector(backend.DEFAULT_MODEL, "cpu", backend.DEFAULT_FRAMES)
    yield Finding(
        "default model", True, f"{backend.DEFAULT_MODEL}, sha256 {detector.weights_sha256[:16]}"
    )


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        if absent:
            hint = f"Install it with: pip install 'unmask[{extra}]'"
            yield Finding(f"extra {extra}", None, f"not installed ({', '.join(absent)})", hint)
        else:
            yield Finding(f"extra {extra}", None, "installed")


CHECKS: tuple[Check, ...] = (
    _versions, _devices, _decoders, _face_weights, _default_model, _extras,
)  # fmt: skip
