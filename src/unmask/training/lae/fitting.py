"""One stage through Lightning's trainer: resumed where it was killed, the best epoch kept."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader

from unmask.training.lae.config import Precision
from unmask.training.lae.module import LAEModule

LAST = "last.ckpt"


class Kept(NamedTuple):
    """The epoch that validation chose, from 0, and its AUC there."""

    epoch: int
    auc: float


def fit(
    module: LAEModule, epochs: int, folder: Path, precision: Precision = "32-true"
) -> tuple[dict[str, Tensor], Kept]:
    """Train a stage, or go on with it from its last finished epoch.

    Args:
        module: freshly made.
        epochs: in all.
        folder: of checkpoints and logs.
        precision: of the training steps; validation is always in single precision.

    Returns:
        State of the module in its best epoch by `val/auc`, the first of equals; and which it was.
    """
    # the best first, so that what `last.ckpt` remembers of it is up to date
    always: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    keeper = ModelCheckpoint(filename="best", monitor="val/auc", mode="max", **always)
    latest = ModelCheckpoint(filename=LAST.removesuffix(".ckpt"), **always)
    _quiet()
    trainer = L.Trainer(
        max_epochs=epochs,
        callbacks=[keeper, latest, TQDMProgressBar(refresh_rate=10)],
        # a logger empties its folder when it starts, so each resumption gets its own
        logger=CSVLogger(
            folder,
            name="logs",
            version=len(list(folder.glob("logs/*"))),
            flush_logs_every_n_steps=1,
        ),
        accelerator="auto",
        devices=1,
        precision=precision,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=10,
        deterministic="warn",
        reload_dataloaders_every_n_epochs=1,
    )
    once: DataLoader[Any] = DataLoader([0])  # type: ignore[arg-type]  # the scorer has the pictures
    last = folder / LAST
    checkpoint = str(last) if last.is_file() else None
    trainer.fit(module, val_dataloaders=once, ckpt_path=checkpoint, weights_only=False)
    if trainer.interrupted:
        raise KeyboardInterrupt
    best = torch.load(keeper.best_model_path, map_location="cpu", weights_only=False)
    state: dict[str, Tensor] = best["state_dict"]
    assert keeper.best_model_score is not None
    return state, Kept(int(best["epoch"]), float(keeper.best_model_score))


def _quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for text in (".*does not have many workers.*", ".*logging interval.*", ".*LeafSpec.*",
                 ".*exists and is not empty.*"):  # fmt: skip
        warnings.filterwarnings("ignore", text)
