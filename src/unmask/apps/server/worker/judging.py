"""One network in memory, and a detector over it for every number of frames asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from unmask.inference.detector import Detector, Examined
from unmask.inference.faces import packaged_detector
from unmask.inference.own_reals import CalibrationFile
from unmask.inference.settings import (
    Settings,
    choose_device,
    locate_weights,
    torch_device,
)
from unmask.media.decoded import Failure, Media
from unmask.models.checkpoint import load_checkpoint


class Judge:
    """Judges decoded inputs; loads the model once.

    Args:
        model: name of a packaged model, or path of a .safetensors file.
        device: auto, cpu, cuda, cuda:N, mps or openvino.
        calibration: a file of `unmask calibrate`; None: the thresholds of the model.

    Raises:
        ConfigError: unknown model or device, a model without thresholds, or a calibration that
            cannot be used with it.
        CheckpointError: weights or card missing or damaged.
    """

    def __init__(self, model: str, device: str, *, calibration: Path | None = None) -> None:
        self._network, self._card = load_checkpoint(locate_weights(model))
        self._calibration = None if calibration is None else CalibrationFile.read(calibration)
        self._device = choose_device(device)
        self._faces = packaged_detector(self._device)
        self._detectors: dict[int, Detector] = {}
        self._detector(Settings().max_frames)  # a model that cannot judge is refused at the start

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._card.name

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights file."""
        return self._card.weights_sha256

    def settings_sha256(self, max_frames: int) -> str:
        """Hash of all else that a score depends on, for this number of frames per video."""
        return self._detector(max_frames).settings_sha256

    def examine(
        self, items: Sequence[Media | Failure], *, max_frames: int, evidence: bool = False
    ) -> list[Examined]:
        """As `Detector.examine`; `max_frames` is what the items were decoded with."""
        return self._detector(max_frames).examine(items, evidence=evidence)

    def works(self) -> bool:
        """Whether the device still computes: after some faults a GPU refuses all further work."""
        try:
            return float(torch.ones(1, device=torch_device(self._device)).sum().item()) == 1.0
        except RuntimeError:
            return False

    def _detector(self, max_frames: int) -> Detector:
        if max_frames not in self._detectors:
            settings = Settings.checked(max_frames=max_frames, precision="float32")
            self._detectors[max_frames] = Detector(
                self._network,
                self._card,
                settings=settings,
                device=self._device,
                face_detector=self._faces,
                calibration=self._calibration,
            )
        return self._detectors[max_frames]
