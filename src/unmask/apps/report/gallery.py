"""The gallery: one self-contained page with examples of every kind of forgery, to be looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from markupsafe import Markup
from PIL import Image

from unmask import __version__
from unmask.apps.report import numbers
from unmask.apps.report.page import environment, source_of, still_policy
from unmask.apps.report.pictures import Picture, encoded, shrunk
from unmask.data.forging.specimens import Exhibit
from unmask.data.forging.workshop import Specimen
from unmask.errors import ConfigError
from unmask.types import FloatArray, UInt8Image

SIDE = 224
"""Of the pictures, in pixels; smaller ones stay."""
GAIN = 4
"""By which differences are multiplied."""
SIGMA = 1.0
"""Of the Gaussian, in pixels, whose blur is taken off for the high-pass residual."""
WINDOW = 256
"""Largest side, in pixels, of the square in the middle whose spectrum is shown."""
SMOOTHING = 1.0
"""Of the power spectrum, in frequency steps."""
SPECTRUM_CLIP = (1.0, 99.5)
"""Percentiles of both spectra that become black and white."""
_MARK = '<meta name="generator" content="unmask '


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a row.

    Attributes:
        picture: encoded.
        alt: what it shows, for who cannot see it.
        caption: a word or two.
    """

    picture: Picture
    alt: str
    caption: str


def check_gallery(path: Path) -> None:
    """Refuse to write over what is not a gallery.

    Raises:
        ConfigError: the file exists and unmask did not write it, or is a folder.
    """
    if path.is_dir() or (
        path.is_file() and _MARK not in path.read_text("utf-8", errors="replace")[:4096]
    ):
        raise ConfigError(
            f"{path} exists and is not a gallery of unmask.",
            "Nothing was written. Choose another OUT.",
        )


def write_gallery(path: Path, exhibits: Sequence[Exhibit], *, command: Sequence[str]) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: the HTML file; missing folders are made.
        exhibits: in the order to show them; those of one family one after the other.
        command: the command line that made it, word by word.

    Returns:
        `path`.

    Raises:
        ConfigError: it cannot be written, or see `check_gallery`.
    """
    check_gallery(path)
    env = environment()
    style = source_of(env, "report.css", "gallery.css")
    page = env.get_template("gallery.html.j2").render(
        tool=f"unmask {__version__}",
        command=numbers.shell_line(command),
        families=[
            (family, [(shown, [views(s) for s in shown.examples]) for shown in kinds])
            for family, kinds in _by_family(exhibits)
        ],
        gain=GAIN,
        sigma=SIGMA,
        window=WINDOW,
        smoothing=SMOOTHING,
        clip=SPECTRUM_CLIP,
        style=Markup(style),
        policy=still_policy([style]),
    )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(page, "utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise ConfigError(
            f"The gallery cannot be written to {path}: {error}.",
            "Name a folder that you may write to.",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _by_family(exhibits: Sequence[Exhibit]) -> list[tuple[str, list[Exhibit]]]:
    def family(exhibit: Exhibit) -> str:
        return exhibit.name.partition("-")[0]

    return [(name, list(kinds)) for name, kinds in groupby(exhibits, family)]


def views(specimen: Specimen) -> list[View]:
    """Source, second person, forgery, mask, difference and both spectra of one example."""
    source, fake, mask = specimen.target.image, specimen.fake, specimen.mask
    who, share = specimen.target.identity, float(mask.mean())
    real_spectrum, fake_spectrum = spectra(source, fake)
    donor = []
    if specimen.donor is not None:
        other = specimen.donor.identity
        donor = [View(_jpeg(specimen.donor.image), f"The face of {other}.", f"donor, {other}")]
    return [
        View(_jpeg(source), f"The real face of {who}.", f"source, {who}"),
        *donor,
        View(_jpeg(fake), f"The forgery made from the face of {who}.", "forgery"),
        View(
            _jpeg(np.where(mask[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=2)),
            f"The mask: white where manipulated, {share:.0%} of the picture.",
            f"mask, {share:.0%}",
        ),
        View(
            _jpeg(difference(source, fake)),
            f"Absolute difference between forgery and source, times {GAIN}.",
            f"difference × {GAIN}",
        ),
        View(_jpeg(fake_spectrum), "Spectrum of the forgery's residual.", "spectrum, forgery"),
        View(_jpeg(real_spectrum), "Spectrum of the source's residual.", "spectrum, source"),
    ]


def difference(source: UInt8Image, fake: UInt8Image) -> UInt8Image:
    """(H, W, 3) uint8: absolute difference per channel, times `GAIN`, clipped."""
    apart = np.abs(fake.astype(np.int32) - source.astype(np.int32)) * GAIN
    return np.asarray(np.minimum(apart, 255), np.uint8)


def log_spectrum(image: UInt8Image) -> FloatArray:
    """(S, S) float32: log10 of the power spectrum of the high-pass residual, zero in the middle.

    The residual is luma minus its Gaussian blur of `SIGMA` pixels, of the middle square of at most
    `WINDOW` pixels under a Hann window; the power is smoothed a little, as it is one draw of a
    random texture.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    residual = luma - cv2.GaussianBlur(luma, (0, 0), SIGMA)
    side = min(WINDOW, *residual.shape)
    top, left = ((n - side) // 2 for n in residual.shape)
    square = residual[top : top + side, left : left + side]
    window = np.hanning(side + 2)[1:-1]
    power = np.abs(np.fft.fftshift(np.fft.fft2(square * np.outer(window, window)))) ** 2
    smooth = cv2.GaussianBlur(power, (0, 0), SMOOTHING)
    return np.asarray(np.log10(smooth + 1e-3), np.float32)


def spectra(source: UInt8Image, fake: UInt8Image) -> tuple[UInt8Image, UInt8Image]:
    """Log spectra of both as RGB pictures on one grey scale."""
    both = log_spectrum(source), log_spectrum(fake)
    low, high = np.percentile(np.stack(both), SPECTRUM_CLIP)
    grey = [np.clip((s - low) / max(high - low, 1e-6), 0, 1) * 255 for s in both]
    first, second = (np.rint(g).astype(np.uint8)[..., None].repeat(3, axis=2) for g in grey)
    return first, second


def _jpeg(image: UInt8Image) -> Picture:
    return encoded(shrunk(Image.fromarray(image), SIDE), "JPEG", quality=88)
