"""Makes the example items, their table and this folder's README. Run by hand, once.

    python examples/make_examples.py LONDON CONGRESS [--out examples]

LONDON holds the Face Research Lab London Set as NNN_03.jpg (768 x 768), CONGRESS the official
portraits as ID.jpg. Every draw is seeded and the encoders run single-threaded, so the same versions
of OpenCV, Pillow and FFmpeg write the same bytes. Which people are shown is fixed here, in the
order of their numbers, and which draw makes a forgery is decided by how much of the picture it
changes, never by what a detector says about it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from readme import write_readme

from unmask.faces import MTCNNDetector, find_faces
from unmask.synthesis.families import Subject, forge
from unmask.synthesis.shape import Points, dense_landmarks
from unmask.synthesis.upsample import NAMED_UPSAMPLERS
from unmask.types import Frame, UInt8Image

LONDON_SIDE = 512
JPEG = {"quality": 95, "subsampling": "4:2:0"}
CLIP_SIDE, CLIP_RATE, CLIP_FRAMES = 480, 25, 75
CHANGE = 1.5
"""Smallest mean change, in grey levels inside the mask, that counts as a forgery: a blend's random
ratio and tint can make one that leaves the face as it was."""


@dataclass(frozen=True)
class Item:
    """One example.

    Attributes:
        file: name in this folder.
        label: real, fake or none (nothing there that could be judged).
        family: of the forgery; empty for the others.
        person: identity in the source, e.g. `london/003`; empty for a drawn picture.
        about: what it is, for the README.
        donor: of a swap, the identity in the same source whose face is seen.
    """

    file: str
    label: str
    family: str
    person: str
    about: str
    donor: str = ""


STILLS = (
    Item("real_congress_1.jpg", "real", "", "congress/A000148", "portrait"),
    Item("real_congress_2.jpg", "real", "", "congress/A000371", "portrait"),
    Item("real_london_1.jpg", "real", "", "london/003", "neutral face, 512 px"),
    Item("real_london_2.jpg", "real", "", "london/004", "neutral face, 512 px"),
    Item("fake_blend_congress.jpg", "fake", "self_blend", "congress/A000376", "self-blended face"),
    Item("fake_blend_london.jpg", "fake", "self_blend", "london/005", "self-blended face, 512 px"),
    Item(
        "fake_upsampled_congress.jpg",
        "fake",
        "pixel_shuffle",
        "congress/A000377",
        "reduced and rebuilt by pixel shuffle (sub-pixel convolution)",
    ),
    Item(
        "fake_upsampled_london.jpg",
        "fake",
        "zero_insertion",
        "london/007",
        "reduced and rebuilt by zero insertion (transposed convolution), 512 px",
    ),
    Item(
        "fake_swap_london_1.jpg",
        "fake",
        "face_swap",
        "london/016",
        "face of london/019 put on, 512 px",
        "london/019",
    ),
    Item(
        "fake_swap_london_2.jpg",
        "fake",
        "face_swap",
        "london/021",
        "face of london/025 put on, 512 px",
        "london/025",
    ),
    Item(
        "fake_parts_london.jpg",
        "fake",
        "part_swap",
        "london/027",
        "parts of the face of london/025 put in, 512 px",
        "london/025",
    ),
    Item(
        "fake_diffusion_congress.jpg",
        "fake",
        "diffusion",
        "congress/B000668",
        "noised and denoised by a small diffusion model",
    ),
)
CLIPS = (
    Item("real_clip.mp4", "real", "", "london/008", "3 s: pan, zoom, brightness drift, noise"),
    Item(
        "fake_clip.mp4",
        "fake",
        "self_blend",
        "london/008",
        "the same clip, self-blended in every frame",
    ),
)
NO_FACE = Item("no_face.jpg", "none", "", "", "a drawn landscape")
TRUNCATED = Item("truncated.jpg", "none", "", "congress/A000380", "portrait, cut off after 60%")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("london", type=Path)
    parser.add_argument("congress", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    roots = {"london": given.london, "congress": given.congress}
    for item in STILLS:
        (given.out / item.file).write_bytes(as_jpeg(still(item, roots)))
    for item in CLIPS:
        write_clip(given.out / item.file, clip_frames(item, read(item.person, roots)))
    (given.out / NO_FACE.file).write_bytes(as_jpeg(landscape(480, 640)))
    whole = as_jpeg(read(TRUNCATED.person, roots))
    (given.out / TRUNCATED.file).write_bytes(whole[: len(whole) * 6 // 10])
    rows = [row(item, given.out) for item in (*STILLS, *CLIPS, NO_FACE, TRUNCATED)]
    with (given.out / "items.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_readme(given.out / "README.md", rows)


def row(item: Item, folder: Path) -> dict[str, str]:
    """An item's line in `items.csv`."""
    licences = {"london": "CC BY 4.0", "congress": "public domain", "": "Apache-2.0"}
    return {
        "path": item.file,
        "label": item.label,
        "family": item.family,
        "person": item.person,
        "about": item.about,
        "licence": licences[item.person.partition("/")[0]],
        "sha256": hashlib.sha256((folder / item.file).read_bytes()).hexdigest(),
    }


def read(person: str, roots: dict[str, Path]) -> UInt8Image:
    """The source picture of a person, (H, W, 3) uint8 RGB."""
    source, _, name = person.partition("/")
    file = f"{name}_03.jpg" if source == "london" else f"{name}.jpg"
    with Image.open(roots[source] / file) as image:
        return np.asarray(image.convert("RGB"))


def resized(person: str, roots: dict[str, Path]) -> UInt8Image:
    """A person's picture at the size of the stills: reals and forgeries alike."""
    image = read(person, roots)
    if person.startswith("london"):
        size = (LONDON_SIDE, LONDON_SIDE)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image


def still(item: Item, roots: dict[str, Path]) -> UInt8Image:
    """A still before its final encoding."""
    image = resized(item.person, roots)
    if item.label == "real":
        return image
    donor = subject(resized(item.donor, roots), item.donor) if item.donor else None
    return first_forgery(subject(image, item.person), item.family, donor)


def subject(image: UInt8Image, person: str) -> Subject:
    """A picture with the landmarks of its one face."""
    return Subject(image, landmarks(image), person)


def landmarks(image: UInt8Image) -> Points:
    """The dense landmarks of the one face in a picture."""
    faces = find_faces(Frame(image), MTCNNDetector())
    if len(faces) != 1:
        raise SystemExit(f"expected one face, found {len(faces)}")
    return dense_landmarks(faces[0].landmarks)


def forged(
    face: Subject, family: str, seed: int, donor: Subject | None = None
) -> tuple[UInt8Image, NDArray[np.bool_]]:
    """One draw of a family; of a fixed kernel's name, of re-upsampling by it."""
    name = f"reupsample-{family}" if family in NAMED_UPSAMPLERS else family
    return forge(name, face, np.random.default_rng(seed), [donor] if donor else [])


def first_seed(face: Subject, family: str, donor: Subject | None = None) -> int:
    """The first seed whose forgery changes the face, and for re-upsampling the whole picture."""
    seed = 0
    while True:
        fake, mask = forged(face, family, seed, donor)
        change = np.abs(fake.astype(int) - face.image)[mask].mean()
        if change >= CHANGE and (family not in NAMED_UPSAMPLERS or mask.all()):
            return seed
        seed += 1


def first_forgery(face: Subject, family: str, donor: Subject | None = None) -> UInt8Image:
    return forged(face, family, first_seed(face, family, donor), donor)[0]


def clip_frames(item: Item, image: UInt8Image) -> Iterator[UInt8Image]:
    """A slow pan and zoom over a still, with drifting brightness and sensor noise.

    The forgery is laid on each finished frame, as a deepfake program lays it on footage, with the
    landmarks moved along and the same draw for all frames, so that it keeps still on the face.
    """
    points, noise = landmarks(image), np.random.default_rng(8)
    seed: int | None = None
    for index in range(CLIP_FRAMES):
        matrix = motion(index / (CLIP_FRAMES - 1), image.shape[0])
        moved = cv2.warpAffine(image, matrix, (CLIP_SIDE, CLIP_SIDE), flags=cv2.INTER_LINEAR)
        drift = 1 + 0.04 * np.sin(2 * np.pi * index / CLIP_FRAMES)
        noisy = moved * drift + noise.normal(0, 1.5, moved.shape)
        frame = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        if item.label == "fake":
            face = Subject(frame, points @ matrix[:, :2].T + matrix[:, 2], item.person)
            seed = first_seed(face, item.family) if seed is None else seed
            frame = forged(face, item.family, seed)[0]
        yield frame


def motion(progress: float, side: int) -> NDArray[np.float64]:
    """(2, 3) map from a still of `side` pixels to the clip's frame, for progress 0 to 1."""
    scale = CLIP_SIDE / side * (1.02 + 0.12 * progress)
    middle = side / 2 + np.array([12 * np.sin(np.pi * progress), -8 * progress])
    shift = CLIP_SIDE / 2 - scale * middle
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def write_clip(path: Path, frames: Iterator[UInt8Image]) -> None:
    """H.264 in MP4, so that a second run gives the same bytes.

    That takes one thread, no encoder's version in the container, and no macroblock tree: x264's
    vectorised one depends on what memory held before.
    """
    options = {"crf": "18", "preset": "medium", "threads": "1", "x264-params": "mbtree=0"}
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libx264", rate=CLIP_RATE, options=options)
        stream.width = stream.height = CLIP_SIDE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())


def as_jpeg(image: UInt8Image) -> bytes:
    """The one final encoding of all stills."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **JPEG)
    return buffer.getvalue()


def landscape(height: int, width: int) -> UInt8Image:
    """Sky, sun, two hills and a house, with grain: a picture without a face."""
    y = np.linspace(0, 1, height)[:, None, None]
    sky = np.array([110, 160, 220]) * (1 - y) + np.array([235, 225, 205]) * y
    image = np.broadcast_to(sky, (height, width, 3)).astype(np.uint8).copy()
    cv2.circle(image, (width - 110, 90), 36, (250, 235, 170), -1, cv2.LINE_AA)
    x = np.arange(width)
    for base, swing, wave, colour in (
        (0.62, 40, 90.0, (96, 130, 92)),
        (0.8, 25, 60.0, (70, 105, 62)),
    ):
        line = np.stack([x, height * base + swing * np.sin(x / wave + base * 9)], axis=1)
        hill = np.concatenate([line, [[width, height], [0, height]]]).astype(np.int32)
        cv2.fillPoly(image, [hill], colour, cv2.LINE_AA)
    cv2.rectangle(image, (90, 330), (210, 410), (168, 120, 96), -1)
    roof = np.array([[80, 330], [150, 280], [220, 330]], np.int32)
    cv2.fillPoly(image, [roof], (120, 60, 50), cv2.LINE_AA)
    grain = np.random.default_rng(3).normal(0, 4, image.shape)
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
