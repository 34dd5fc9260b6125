"""Files to upload, made of those in examples/: no two have the same bytes."""

from __future__ import annotations

import io
import random
from functools import cache
from itertools import islice
from pathlib import Path

import av
from PIL import Image
from record import ROOT

EXAMPLES = ROOT / "examples"
MOST_CROP = 0.08
"""Share of a side that is cut off at most: the face stays whole."""
CLIP_FRAMES = (8, 25)


def picture(number: int, seed: int, *, side: int | None = None) -> bytes:
    """A JPEG of an example: cut a little, at another quality, with its number in a comment.

    Args:
        side: of the square it is made to fit into, in pixels; None: as large as it is.
    """
    rng = random.Random(f"{seed} {number}")
    stills = _stills()
    image = stills[number % len(stills)]
    left, top, right, bottom = (rng.uniform(0, MOST_CROP) for _ in range(4))
    width, height = image.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    cut = image.crop(box)
    if side is not None:
        cut.thumbnail((side, side))
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=rng.randint(82, 95), comment=f"{seed}-{number}".encode())
    return out.getvalue()


def clip(number: int, seed: int) -> bytes:
    """The first frames of an example's clip, encoded anew."""
    rng = random.Random(f"{seed} clip {number}")
    clips = sorted(EXAMPLES.glob("*_clip.mp4"))
    out = io.BytesIO()
    with av.open(str(clips[number % len(clips)])) as source, av.open(out, "w", "mp4") as target:
        read = source.streams.video[0]
        options = {"preset": "veryfast", "crf": str(rng.randint(18, 28))}
        stream = target.add_stream("libx264", rate=read.average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = read.width, read.height, "yuv420p"
        target.metadata["comment"] = f"{seed}-{number}"
        for frame in islice(source.decode(video=0), rng.randint(*CLIP_FRAMES)):
            frame.pts, frame.pict_type = None, av.video.frame.PictureType.NONE
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return out.getvalue()


def write_inputs(folder: Path, count: int, clips: int, seed: int) -> list[Path]:
    """`count` files, of which `clips` are clips, evenly among the stills."""
    folder.mkdir()
    every = max(1, count // max(1, clips))
    made = []
    for number in range(count):
        is_clip = number % every == every // 2 and number // every < clips
        made.append(folder / f"{number:05d}.{'mp4' if is_clip else 'jpg'}")
        made[-1].write_bytes((clip if is_clip else picture)(number, seed))
    return made


@cache
def _stills() -> list[Image.Image]:
    names = sorted(path for path in EXAMPLES.glob("*.jpg") if path.stem != "truncated")
    return [Image.open(path).convert("RGB") for path in names]


if __name__ == "__main__":
    raise SystemExit("This is a part of service_load.py and service_kills.py; run those.")
