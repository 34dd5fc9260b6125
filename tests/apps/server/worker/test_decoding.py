"""Decoders: one file's trouble is its own, and no path of the service gets out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unmask.apps.server.contract import Claim, new_id
from unmask.apps.server.worker.decoding import Decoders
from unmask.errors import UnmaskError
from unmask.media import Limits, Media

EXAMPLES = Path(__file__).parents[4] / "examples"


def claim(path, name="client.png", max_frames=None):
    return Claim(new_id(), new_id(), Path(path), name, "analysis", max_frames, 1)


@pytest.fixture
def file(tmp_path, make_service, double):
    """A file whose content tells the decoder's double what to do."""
    service = make_service()

    def make(what):
        id = service.submit(what)
        return service.settings.upload_path(id)

    return make


def collect(decoders, count):
    found = []
    while len(found) < count:
        found += decoders.collect(1.0)
    return found


def test_a_hanging_file_delays_no_other(file, double):
    with Decoders(2, max_frames=3, task=double.TASK) as decoders:
        hanging = claim(file("hang"))
        decoders.submit(hanging)
        for _ in range(3):
            other = claim(file("real"))
            decoders.submit(other)
            (done,) = collect(decoders, 1)
            assert done.claim is other
        assert (decoders.busy, decoders.idle) == (1, 1)
        decoders.drop(lambda claim: claim is not hanging)
        assert (decoders.busy, decoders.idle) == (0, 2)


def test_a_hanging_file_gets_its_reason(file, double):
    limits = Limits(timeout_s=0.2)
    with Decoders(1, max_frames=3, limits=limits, task=double.TASK) as decoders:
        decoders.submit(claim(file("hang"), "slow.png"))
        (hung,) = collect(decoders, 1)
        assert hung.item.error.reason == "timeout"
        assert hung.item.info.path == "slow.png"
        decoders.submit(claim(file("real")))
        assert isinstance(collect(decoders, 1)[0].item, Media)


def test_each_claim_has_its_own_number_of_frames():
    clip = EXAMPLES / "real_clip.mp4"
    with Decoders(1, max_frames=3) as decoders:
        for asked, got in ((None, 3), (2, 2), (5, 5), (None, 3)):
            decoders.submit(claim(clip, "clip.mp4", asked))
            (done,) = collect(decoders, 1)
            assert done.frames == got
            assert done.item.info.path == "clip.mp4"
            height, width, _ = done.item.frames[0].image.shape
            assert done.bytes == got * height * width * 3


@pytest.mark.parametrize("content", [b"no picture", b"", None], ids=["text", "empty", "missing"])
def test_messages_name_the_client_s_file(tmp_path, content):
    path = tmp_path / "secret-place"
    if content is not None:
        path.write_bytes(content)
    with Decoders(1, max_frames=3) as decoders:
        decoders.submit(claim(path, "holiday.png"))
        (done,) = collect(decoders, 1)
    told = str(done.item.error) + done.item.info.path
    assert "secret-place" not in told
    assert "holiday.png" in str(done.item.error)


def test_decoding_that_cannot_start_says_so():
    with Decoders(1, max_frames=3, task="no_such_module:run") as decoders:
        decoders.submit(claim("a.png"))
        with pytest.raises(UnmaskError, match="could not start"):
            collect(decoders, 1)


def test_pixels_are_those_of_the_file(file, double):
    with Decoders(1, max_frames=3, task=double.TASK) as decoders:
        decoders.submit(claim(file("fake")))
        (done,) = collect(decoders, 1)
    assert np.array_equal(done.item.frames[0].image, np.full((8, 8, 3), 250, np.uint8))
