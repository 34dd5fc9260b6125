"""From decoded media to results: scores, tracks, verdicts; one item never costs the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unmask.errors import ConfigError, MediaError
from unmask.inference.detector import Detector
from unmask.inference.settings import Settings, choose_device, locate_weights
from unmask.media import Failure, try_decode
from unmask.models.checkpoint import Card, FeatureDomain
from unmask.results import InputInfo, Result
from unmask.transforms.preprocess import InputSpec
from unmask.types import Frame

EXAMPLES = Path(__file__).parents[2] / "examples"
Make = Callable[..., Detector]


def one(detector: Detector, item: Any) -> Result:
    (examined,) = detector.examine([item])
    return examined.result


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.95, "likely_manipulated"), (0.5, "inconclusive"), (0.1, "no_evidence_found")],
)
def test_a_stills_score_decides_its_verdict(
    score: float, verdict: str, detector: Detector, parts: Any
) -> None:
    result = one(detector, parts.still(parts.picture([parts.level_of(score)])))
    assert (result.status, result.verdict, result.reasons) == ("scored", verdict, [])
    assert result.score == pytest.approx(score, abs=0.01)
    assert result.coverage.model_dump() == {
        "frames_read": 1,
        "frames_failed": 0,
        "faces_scored": 1,
    }
    (face,) = result.faces
    assert face.frames[0].box == (30.0, 30.0, 130.0, 130.0)
    assert face.frames[0].score == face.score == result.score
    assert face.start_s is None


def test_the_probability_is_the_calibrated_logit(detector: Detector, parts: Any) -> None:
    result = one(detector, parts.still(parts.picture([parts.level_of(0.9)])))
    assert result.score is not None
    assert result.calibrated is not None
    logit = np.log(result.score / (1 - result.score))
    assert result.calibrated.p_fake == pytest.approx(1 / (1 + np.exp(-0.5 * logit - 0.1)))
    assert result.calibrated.log10_lr == pytest.approx((0.5 * logit + 0.1) / np.log(10))
    assert result.calibrated.domain == "made-up pictures"
    assert result.threshold is not None
    assert result.threshold.measured_on == "100 made-up reals"


def test_the_worst_face_of_a_picture_decides(detector: Detector, parts: Any) -> None:
    levels = [parts.level_of(0.1), parts.level_of(0.9)]
    result = one(detector, parts.still(parts.picture(levels)))
    assert result.score == pytest.approx(0.9, abs=0.01)
    assert [round(face.score, 1) for face in result.faces] == [0.1, 0.9]


def test_a_videos_score_is_the_mean_logit_of_a_track(detector: Detector, parts: Any) -> None:
    scores = [0.9, 0.6, 0.99, 0.7]
    images = [parts.picture([parts.level_of(s)], seed=i) for i, s in enumerate(scores)]
    result = one(detector, parts.clip(images))
    (track,) = result.faces
    each = np.array([f.score for f in track.frames])
    mean = np.log(each / (1 - each)).mean()
    assert result.score == pytest.approx(1 / (1 + np.exp(-mean)))
    np.testing.assert_allclose(each, scores, atol=0.02)
    assert [f.index for f in track.frames] == [0, 10, 20, 30]
    assert (track.start_s, track.end_s) == (0.0, 1.5)
    assert result.coverage.faces_scored == 4


def test_a_passer_by_does_not_decide(detector: Detector, parts: Any) -> None:
    low, high = parts.level_of(0.1), parts.level_of(0.97)
    images = [parts.picture([low, high] if i < 2 else [low], seed=i) for i in range(6)]
    result = one(detector, parts.clip(images))
    assert [len(face.frames) for face in result.faces] == [6, 2]
    assert result.score == pytest.approx(0.1, abs=0.01)
    longer = [parts.picture([low, high] if i < 3 else [low], seed=i) for i in range(6)]
    assert one(detector, parts.clip(longer)).score == pytest.approx(0.97, abs=0.01)


def test_two_frames_of_a_video_are_too_few(detector: Detector, parts: Any) -> None:
    images = [parts.picture([parts.level_of(0.95)], seed=i) for i in range(2)]
    result = one(detector, parts.clip(images))
    assert (result.verdict, result.reasons) == ("inconclusive", ["too_few_frames"])


def test_a_dark_face_is_inconclusive_but_scored(detector: Detector, parts: Any) -> None:
    result = one(detector, parts.still(parts.picture([12.0])))
    assert (result.status, result.verdict, result.reasons) == (
        "scored",
        "inconclusive",
        ["too_dark"],
    )
    assert result.message is not None
    assert "too dark" in result.message
    assert result.faces[0].frames[0].quality == "too_dark"


@pytest.mark.parametrize(
    ("score", "flags", "verdict"),
    [
        (0.9, ("blurry",), "likely_manipulated"),
        (0.5, ("blurry",), "inconclusive"),
        (0.1, ("blurry",), "inconclusive"),
        (0.9, ("too_blurry",), "inconclusive"),
        (0.9, ("blurry", "too_dark"), "inconclusive"),
    ],
)
def test_of_a_blurry_face_only_a_finding_counts(
    score: float,
    flags: tuple[str, ...],
    verdict: str,
    detector: Detector,
    parts: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unmask.faces.align.assess", lambda image, side: flags)
    result = one(detector, parts.still(parts.picture([parts.level_of(score)])))
    assert (result.verdict, result.reasons) == (verdict, list(flags))


def test_flagged_frames_are_left_out_when_there_are_better(detector: Detector, parts: Any) -> None:
    levels = [parts.level_of(0.9)] * 3 + [12.0]
    images = [parts.picture([level], seed=i) for i, level in enumerate(levels)]
    result = one(detector, parts.clip(images))
    assert result.score == pytest.approx(0.9, abs=0.01)
    assert result.reasons == []
    assert result.faces[0].frames[3].quality == "too_dark"


@pytest.mark.parametrize(("strange", "in_domain"), [(3, True), (4, False)])
def test_unlike_pictures_are_out_of_domain(
    strange: int, in_domain: bool, make: Make, parts: Any
) -> None:
    limits = [(-9.0, -8.0)] * strange + [(-9.0, 9.0)] * (14 - strange)
    result = one(make(band_limits=limits), parts.still(parts.picture([parts.level_of(0.95)])))
    assert result.calibrated is not None
    assert result.calibrated.in_domain == in_domain
    assert (result.calibrated.log10_lr is not None) == in_domain
    assert result.verdict == ("likely_manipulated" if in_domain else "inconclusive")
    assert ("out_of_domain" in result.reasons) != in_domain


@pytest.mark.parametrize(("limit", "known"), [(100.0, True), (0.01, False)])
def test_features_unlike_all_that_was_measured_are_unfamiliar(
    limit: float, known: bool, make: Make, parts: Any
) -> None:
    features = FeatureDomain(
        centres=[[0.0] * 3], directions=[[1.0, 0.0, 0.0]], variances=[1.0], rest=1.0, limit=limit
    )
    media = parts.still(parts.picture([parts.level_of(0.95)]))
    result = one(make(features=features), media)
    assert result.calibrated is not None
    assert result.calibrated.in_domain == known
    assert result.verdict == ("likely_manipulated" if known else "inconclusive")
    assert result.reasons == ([] if known else ["unfamiliar"])


def test_notes_on_the_media_do_not_change_the_verdict(detector: Detector, parts: Any) -> None:
    images = [parts.picture([parts.level_of(0.95)], seed=i) for i in range(3)]
    result = one(detector, parts.clip(images, reasons=("truncated",), frames_failed=2))
    assert (result.verdict, result.reasons) == ("likely_manipulated", ["truncated"])
    assert result.coverage.frames_failed == 2


def test_no_face_is_not_applicable(detector: Detector, parts: Any) -> None:
    result = one(detector, parts.still(parts.picture([])))
    assert (result.status, result.reasons, result.score) == ("not_applicable", ["no_face"], None)
    images = [parts.picture([], seed=i) for i in range(4)]
    result = one(detector, parts.clip(images, reasons=("truncated",), frames_failed=1))
    assert result.status == "not_applicable"
    assert result.reasons == ["no_face", "truncated"]
    assert (result.coverage.frames_read, result.coverage.frames_failed) == (4, 1)


def test_a_failure_keeps_its_status_and_words(detector: Detector) -> None:
    error = MediaError("unreadable", "damaged", "The file is damaged.", "Copy it again.")
    result = one(detector, Failure(InputInfo(path="x.jpg"), error, frames_failed=3))
    assert (result.status, result.reasons) == ("unreadable", ["damaged"])
    assert result.message == "The file is damaged. Copy it again."
    assert result.coverage.frames_failed == 3
    assert result.run is not None
    assert result.run.model == "stand-in"


def test_one_broken_item_costs_the_others_nothing(detector: Detector, parts: Any) -> None:
    good = parts.still(parts.picture([parts.level_of(0.9)]), "good.png")
    items = [
        good,
        parts.still(parts.picture([255.0 + 60]), "white.png"),  # breaks the network
        parts.still(parts.picture([], code=parts.broken), "faces.png"),
        Failure(InputInfo(path="gone.png"), MediaError("unreadable", "missing", "Gone.")),
        parts.still(parts.picture([]), "empty.png"),
        good,
    ]
    results = [e.result for e in detector.examine(items)]
    assert [r.input.path for r in results] == [i.info.path for i in items]
    assert [r.status for r in results] == [
        "scored",
        "error",
        "error",
        "unreadable",
        "not_applicable",
        "scored",
    ]
    assert results[0].score == results[5].score == one(detector, good).score
    assert results[1].message == "RuntimeError: a white face broke the network"
    assert results[2].reasons == ["internal_error"]


def test_a_score_that_is_no_number_becomes_an_error(detector: Detector, parts: Any) -> None:
    black = np.zeros((180, 360, 3), np.uint8)
    black[:3], black[-3:], black[:, :3], black[:, -3:] = (1,) * 4
    good = parts.still(parts.picture([parts.level_of(0.9)]))
    results = [e.result for e in detector.examine([parts.still(black), good])]
    assert [r.status for r in results] == ["error", "scored"]
    assert results[0].score is None


def test_broken_evidence_costs_one_item(
    detector: Detector, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unmask.inference import detector as module

    items = [parts.still(parts.picture([parts.level_of(s)]), f"{s}.png") for s in (0.2, 0.9)]
    real = module.explain

    def explain(*args: Any) -> Any:
        if args[-1] > 0.5:
            raise RuntimeError("no picture")
        return real(*args)

    monkeypatch.setattr(module, "explain", explain)
    first, second = detector.examine(items, evidence=True)
    assert first.result.status == "scored"
    assert len(first.evidence) == 1
    assert (second.result.status, second.evidence) == ("error", ())


def test_nothing_in_nothing_out(detector: Detector) -> None:
    assert detector.examine([]) == []


def test_more_crops_than_a_batch(detector: Detector, parts: Any) -> None:
    scores = np.linspace(0.05, 0.95, 11)
    items = [
        parts.clip([parts.picture([parts.level_of(s)] * 2, seed=i) for i in range(3)])
        for s in scores
    ]
    results = [e.result for e in detector.examine(items)]
    np.testing.assert_allclose([r.score for r in results], scores, atol=0.02)
    assert all(len(r.faces) == 2 for r in results)


def test_scoring_begins_while_faces_are_looked_for(
    detector: Detector, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, seen = threading.Event(), []
    score, detect = detector._score_batch, detector._faces.detect

    def noted(crops: Any) -> Any:
        begun.set()
        return score(crops)

    def waiting_at_the_last(image: Any) -> Any:
        seen.append(begun.wait(10) if len(seen) == 6 else None)
        return detect(image)

    monkeypatch.setattr(detector, "_score_batch", noted)
    monkeypatch.setattr(detector._faces, "detect", waiting_at_the_last)
    scores = np.linspace(0.1, 0.9, 7)
    items = [parts.still(parts.picture([parts.level_of(s)], seed=3)) for s in scores]
    detector._crew.size = 2
    found = [e.result.score for e in detector.examine(items)]
    np.testing.assert_allclose(found, scores, atol=0.02)
    assert seen[6] is True


def test_frames_in_memory(detector: Detector, parts: Any) -> None:
    images = [parts.picture([parts.level_of(0.9)], seed=i) for i in range(3)]
    frames = [Frame(image, index=i, time=float(i)) for i, image in enumerate(images)]
    assert detector.scan_frames(frames[:1]).input.media == "image"
    video = detector.scan_frames(frames, name="camera")
    assert (video.input.path, video.input.media, video.input.width) == ("camera", "video", 360)
    assert video.score == pytest.approx(0.9, abs=0.01)
    with pytest.raises(ConfigError, match="at least one frame"):
        detector.scan_frames([])


def test_a_path_is_decoded_here(detector: Detector, parts: Any, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(parts.picture([parts.level_of(0.9)])).save(path)
    assert detector.scan(path).score == pytest.approx(0.9, abs=0.01)
    assert detector.scan(tmp_path / "none.png").reasons == ["missing"]


def test_the_settings_hash_changes_with_all_that_scores_depend_on(make: Make) -> None:
    base = make()
    others = [
        make(Settings(max_frames=16)),
        make(Settings(margin=1.4)),
        make(Settings(precision="bfloat16")),
        make(flag=0.81),
        make(slope=0.6),
    ]
    window = base.card.model_copy(update={"input": InputSpec(native_size=128)})
    others.append(Detector(torch.nn.Identity(), window, face_detector=base._faces))
    hashes = [d.settings_sha256 for d in [base, *others]]
    assert len(set(hashes)) == len(hashes)
    assert make().settings_sha256 == base.settings_sha256


def test_what_cannot_work_is_refused(detector: Detector, tmp_path: Path) -> None:
    bare = detector.card.model_copy(update={"decision": None})
    assert isinstance(bare, Card)
    with pytest.raises(ConfigError, match="stand-in has no thresholds"):
        Detector(torch.nn.Identity(), bare)
    with pytest.raises(ConfigError, match=r"max_frames: .* got 0"):
        Settings.checked(max_frames=0, precision="float32")
    with pytest.raises(ConfigError, match=r"precision: .* got float16"):
        Settings.checked(max_frames=1, precision="float16")
    with pytest.raises(ConfigError, match=r"(?s)no model 'nothing'.*Packaged models"):
        locate_weights("nothing")
    with pytest.raises(ConfigError, match=r"\.safetensors"):
        locate_weights(tmp_path / "model.pt")
    assert locate_weights(tmp_path / "m.safetensors") == tmp_path / "m.safetensors"
    with pytest.raises(ConfigError, match="'quantum' cannot be used"):
        choose_device("quantum")
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda", "mps")


def test_arrays_instead_of_frames_are_refused_with_the_way_to_build_one(detector, parts):
    with pytest.raises(ConfigError, match=r"ndarray.*\n.*Frame\("):
        detector.scan_frames([parts.picture([100])])


def test_max_frames_is_recorded(make):
    settings = Settings.checked(max_frames=7, precision="float32")
    assert make(settings).scan("gone.png").run.max_frames == 7


def test_a_detector_of_somebody_elses_is_asked_by_one_thread(
    detector: Detector, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[int] = set()
    detect = detector._faces.detect

    def noted(image: Any) -> Any:
        asked.add(threading.get_ident())
        return detect(image)

    monkeypatch.setattr(detector._faces, "detect", noted)
    detector._crew.size = 3
    items = [parts.still(parts.picture([parts.level_of(0.9)], seed=i)) for i in range(4)]
    assert all(e.result.score == pytest.approx(0.9, abs=0.01) for e in detector.examine(items))
    assert asked == {threading.get_ident()}


def test_pictures_shared_out_among_cores_give_the_same_results() -> None:
    detector = Detector.from_pretrained(max_frames=4)
    names = ("real_london_1.jpg", "fake_clip.mp4", "no_face.jpg", "fake_parts_london.jpg")
    items = [try_decode(EXAMPLES / name, max_frames=4) for name in names]
    detector._crew.size = 1
    alone = [e.result for e in detector.examine(items)]
    detector._crew.size = 3
    shared = [e.result for e in detector.examine(items)]
    assert [r.status for r in shared] == ["scored", "scored", "not_applicable", "scored"]
    for one, other in zip(alone, shared, strict=True):
        assert (one.input, one.status, one.verdict) == (other.input, other.status, other.verdict)
        assert one.score == (None if other.score is None else pytest.approx(other.score, abs=1e-4))
        found, again = ([f for face in r.faces for f in face.frames] for r in (one, other))
        assert [f.index for f in found] == [f.index for f in again]
        for f, g in zip(found, again, strict=True):
            assert f.box == pytest.approx(g.box, abs=0.02)
