"""The detector: an image or video in, a result out. Nothing here is ever omitted or made up."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unmask.errors import ConfigError, MediaError
from unmask.faces import FaceDetector, MTCNNDetector
from unmask.inference.calibration import distances_from
from unmask.inference.compiled import DEVICE as OPENVINO
from unmask.inference.compiled import CompiledNet
from unmask.inference.explain import Evidence, explain
from unmask.inference.faces import FoundFaces, find_in_frames, packaged_detector
from unmask.inference.own_reals import CalibrationFile
from unmask.inference.settings import (
    Settings,
    choose_device,
    locate_weights,
    torch_device,
)
from unmask.inference.verdict import Scored, assemble, failed
from unmask.media import Failure, Media, try_decode
from unmask.models.checkpoint import Card, load_checkpoint, predict
from unmask.models.crew import Crew
from unmask.models.efficientnet_lite import fold_norms
from unmask.results import InputInfo, Result, Run
from unmask.transforms.dct import log_band_energy
from unmask.transforms.preprocess import to_tensors, to_views
from unmask.types import Crop, Frame

BATCH = 16
SHARE = 4
"""Faces that a processor's core takes at once: maps of more do not stay near it, and are as large
as what the allocator gives back to the system and has cleared again for every batch."""
EVIDENCE_PER_FACE = 3

Logits = NDArray[np.float64]
Bands = NDArray[np.float32]
Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examined:
    """A result with what to look at beside it; `evidence` is empty unless it was asked for.

    `bands` are the (14,) log10 band energies of the deciding face, `distance` that of its features
    from what the network was measured on; None unless scored, or not known.
    """

    result: Result
    evidence: tuple[Evidence, ...] = ()
    bands: tuple[float, ...] | None = None
    distance: float | None = None


class Detector:
    """Judges faces. Built once, used for many inputs.

    Args:
        model: a network that only scores from now on: see `fold_norms`.
        card: its card, with a decision.
        settings: how inputs are sampled and scored.
        device: as torch names it, or openvino.
        face_detector: finds the faces; the packaged MTCNN by default.
        calibration: thresholds fitted on reals of one's own, instead of the card's.

    Raises:
        ConfigError: the card has no decision: its thresholds were never fitted; the calibration
            was made for other weights; or OpenVINO cannot run the model, or not in bfloat16.
        MissingExtraError: openvino without its package.

    >>> from unmask import Detector
    >>> Detector.from_pretrained().scan("missing.jpg").reasons
    ['missing']
    """

    def __init__(
        self,
        model: nn.Module,
        card: Card,
        *,
        settings: Settings | None = None,
        device: str = "cpu",
        face_detector: FaceDetector | None = None,
        calibration: CalibrationFile | None = None,
    ) -> None:
        if card.decision is None:
            raise ConfigError(
                f"The model {card.name} has no thresholds: they were never fitted.",
                "Train it with `unmask train`, which fits them on validation items.",
            )
        self._place = torch_device(device)
        # channels_last is free speed on CPU and GPU
        self._network = model.to(self._place, memory_format=torch.channels_last)  # type: ignore[call-overload]
        fold_norms(self._network)
        if calibration is not None:
            calibration.check_weights(card.name, card.weights_sha256)
        self.card, self._odds = card, card.decision
        self.decision = calibration.decision if calibration else card.decision
        self.settings = settings or Settings()
        self.device = device
        self._faces = face_detector or packaged_detector(device)
        # faster networks leave more of the time to the interpreter, which threads wait for
        self._crew = Crew(self._place, spare=1 if device == OPENVINO else 0)
        self._compiled = self._compile() if device == OPENVINO else None
        self._together = BATCH if torch.device(self._place).type != "cpu" else SHARE

    def _compile(self) -> CompiledNet:
        if self.settings.precision != "float32":
            raise ConfigError(
                f"--device {OPENVINO} computes in float32, not in {self.settings.precision}.",
                "Use --device cpu for it.",
            )
        return CompiledNet.of(  # a service has detectors for several numbers of frames
            self._network,
            self.card.input,
            name=self.card.name,
            digest=self.card.weights_sha256,
            threads=self._crew.size,
        )

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "unmask-default",
        *,
        device: str = "auto",
        max_frames: int = 32,
        precision: str = "float32",
        calibration: str | Path | None = None,
    ) -> Detector:
        """Load a packaged model by name, or any checkpoint by the path of its weights.

        Args:
            model: name, or path of a `.safetensors` file with its card beside it.
            device: `auto` takes a GPU when there is one; else `cpu`, `cuda`, `cuda:1`, `mps`, or
                `openvino`, which is faster than `cpu` once it has started.
            max_frames: frames looked at per video, spread evenly over it.
            precision: `float32`, or `bfloat16`, about twice as fast and slightly different.
            calibration: a file of `unmask calibrate`; the thresholds of the card without.

        Raises:
            ConfigError: unknown model, device or precision, or a calibration that cannot be used.
            CheckpointError: weights or card missing or damaged.
        """
        settings = Settings.checked(max_frames=max_frames, precision=precision)
        network, card = load_checkpoint(locate_weights(model))
        own = None if calibration is None else CalibrationFile.read(Path(calibration))
        return cls(network, card, settings=settings, device=choose_device(device), calibration=own)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file."""
        return self.card.weights_sha256

    @property
    def settings_sha256(self) -> str:
        """Hash of everything beside the weights that a score or verdict depends on."""
        text = self.settings.sha256(self.decision) + self.card.input.model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def max_frames(self) -> int:
        """Frames looked at per video."""
        return self.settings.max_frames

    def scan(self, path: str | Path) -> Result:
        """Decode one file in this process and judge it; a file that fails gives its reason."""
        media = try_decode(path, max_frames=self.settings.max_frames)
        return self.examine([media])[0].result

    def scan_frames(self, frames: Sequence[Frame], *, name: str = "frames") -> Result:
        """Judge frames that are in memory: one is treated as a still, more as a video.

        Args:
            frames: in order of time.
            name: what to call the input in the result.

        Raises:
            ConfigError: no frame, or something that is not a `Frame`.
        """
        if not len(frames):
            raise ConfigError("scan_frames needs at least one frame.")
        for frame in frames:
            if not isinstance(frame, Frame):
                raise ConfigError(
                    f"scan_frames takes unmask.types.Frame; got {type(frame).__name__}.",
                    "Wrap each picture: Frame(image) for a still, Frame(image, index=i, "
                    "time=seconds) for a video; image is (H, W, 3) uint8 RGB.",
                )
        width, height = frames[0].size
        kind = "image" if len(frames) == 1 else "video"
        info = InputInfo(path=name, media=kind, width=width, height=height)
        return self.examine([Media(info, tuple(frames))])[0].result

    def examine(
        self, items: Sequence[Media | Failure], *, evidence: bool = False
    ) -> list[Examined]:
        """Judge a batch of decoded inputs: one `Examined` each, in the same order.

        Faces of all items share batches. An unexpected exception inside one item becomes its
        result, with status `error`, and costs the others nothing.

        Args:
            items: as from `media.DecodePool`.
            evidence: also make heatmaps and frequency views.
        """
        if not items:
            return []
        started = time.perf_counter()
        try:
            found, logits, bands, distances = self._look(items)
        except Exception as error:  # one bad item must not take the batch with it
            if len(items) > 1:
                return [self.examine([item], evidence=evidence)[0] for item in items]
            run = self._run(started, 1)
            return [self._finish(items[0], _internal(error), run)]
        run = self._run(started, len(items))
        counts = [len(f.crops) if isinstance(f, FoundFaces) else 0 for f in found]
        return [
            self._finish(
                item,
                f,
                run,
                logits[end - n : end],
                bands[end - n : end],
                None if distances is None else distances[end - n : end],
                evidence=evidence,
            )
            for item, f, n, end in zip(items, found, counts, np.cumsum(counts), strict=True)
        ]

    def _find_all(self, items: Sequence[Media | Failure]) -> Iterator[FoundFaces | MediaError]:
        """Stills beside each other, and the frames of each clip."""
        if not isinstance(self._faces, MTCNNDetector):  # who knows whether threads may share it
            yield from map(self._find, items)
            return
        clips = [isinstance(item, Media) and len(item.frames) > 1 for item in items]
        stills = [item for item, clip in zip(items, clips, strict=True) if not clip]
        begun = iter(self._crew.start(self._find, stills))
        for item, clip in zip(items, clips, strict=True):
            yield self._find(item, self._crew) if clip else next(begun).result()

    def _find(self, item: Media | Failure, crew: Crew | None = None) -> FoundFaces | MediaError:
        if isinstance(item, Failure):
            return item.error
        try:
            return find_in_frames(item.frames, self._faces, self.settings, crew)
        except MediaError as error:
            return error
        except Exception as error:  # becomes this item's result
            return _internal(error)

    def _look(
        self, items: Sequence[Media | Failure]
    ) -> tuple[list[FoundFaces | MediaError], Logits, Bands, Distances | None]:
        """Each item's faces; of all crops logits (N,), band energies (N, 14), distances (N,).

        Scoring begins as soon as there is a batch of crops, while other faces are looked for. Band
        energies are log10. No distances where it is not known from what they would be.
        """
        found: list[FoundFaces | MediaError] = []
        begun: list[Future[tuple[Logits, Bands, Distances]]] = []
        waiting: list[Crop] = []
        for one in self._find_all(items):
            found.append(one)
            waiting += one.crops if isinstance(one, FoundFaces) else ()
            while len(waiting) >= self._together:
                begun += self._crew.start(self._score_batch, [waiting[: self._together]], more=True)
                del waiting[: self._together]
        size = max(1, -(-len(waiting) // self._crew.size))
        rest = [waiting[start : start + size] for start in range(0, len(waiting), size)]
        begun += self._crew.start(self._score_batch, rest, more=bool(begun))
        logits, bands = [np.zeros(0)], [np.zeros((0, len(self.decision.bands)), np.float32)]
        distances = [np.zeros(0)]
        for part in begun:
            logit, band, distance = part.result()
            logits.append(logit)
            bands.append(band)
            distances.append(distance)
        far = None if self.decision.features is None else np.concatenate(distances)
        return found, np.concatenate(logits), np.concatenate(bands), far

    def _score_batch(self, crops: Sequence[Crop]) -> tuple[Logits, Bands, Distances]:
        spec, known = self.card.input, self.decision.features
        inputs = to_tensors([to_views(crop.image, spec) for crop in crops], spec)
        if self._compiled is not None:
            logits, features = self._compiled.predict(inputs)
        else:
            dtype = getattr(torch, self.settings.precision)
            logits, features = predict(self._network, inputs, device=self._place, precision=dtype)
        distances = np.zeros(0) if known is None else distances_from(known, features)
        return logits, log_band_energy(inputs["native"]).numpy(), distances

    def _finish(
        self,
        item: Media | Failure,
        found: FoundFaces | MediaError,
        run: Run,
        logits: NDArray[np.float64] | None = None,
        bands: NDArray[np.float32] | None = None,
        distances: NDArray[np.float64] | None = None,
        *,
        evidence: bool = False,
    ) -> Examined:
        problem = found
        if not isinstance(found, MediaError):
            assert isinstance(item, Media)
            assert logits is not None
            assert bands is not None
            try:
                scored = Scored(found.crops, found.tracks, logits, bands, distances)
                return self._judge(item, scored, run, evidence)
            except Exception as error:  # becomes this item's result
                problem = _internal(error)
        assert isinstance(problem, MediaError)
        frames, notes = (len(item.frames), item.reasons) if isinstance(item, Media) else (0, ())
        return Examined(
            failed(item.info, problem, run, item.frames_failed, frames_read=frames, notes=notes)
        )

    def _judge(
        self,
        item: Media,
        scored: Scored,
        run: Run,
        evidence: bool,
    ) -> Examined:
        result = assemble(item, scored, self.decision, run, odds=self._odds)
        bands = tuple(scored.deciding_bands.tolist())
        distance = scored.deciding_distance
        if not evidence:
            return Examined(result, bands=bands, distance=distance)
        frames = {frame.index: frame for frame in item.frames}
        return Examined(
            result,
            tuple(
                explain(
                    self._network,
                    self.card.input,
                    self.decision,
                    scored.tracks[i],
                    frames[scored.crops[i].frame_index],
                    scored.crops[i],
                    float(scored.scores[i]),
                )
                for i in scored.telling(EVIDENCE_PER_FACE)
            ),
            bands,
            distance,
        )

    def _run(self, started: float, items: int) -> Run:
        from unmask import __version__

        return Run(
            tool=f"unmask {__version__}",
            model=self.model,
            weights_sha256=self.weights_sha256,
            settings_sha256=self.settings_sha256,
            device=self.device,
            seconds=round((time.perf_counter() - started) / items, 4),
            max_frames=self.settings.max_frames,
        )


def _internal(error: Exception) -> MediaError:
    return MediaError("error", "internal_error", f"{type(error).__name__}: {error}")
