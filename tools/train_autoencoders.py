"""Train the four re-synthesis autoencoders, a few minutes each on one CPU core.

    python tools/train_autoencoders.py INDEX.csv src/unmask/synthesis/weights

Only training reals of the permissive sources are used (`--sources`), so the weights carry no
non-commercial terms. Loss: L1 + 0.02 x non-saturating adversarial loss of a patch discriminator
on the picture's high-pass residual, which keeps the rebuilt detail crisp.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from unmask.data.items import read_items
from unmask.synthesis.autoencoder import KINDS, Autoencoder

PATCH, BATCH = 64, 16


def highpass(x: Tensor) -> Tensor:
    return x - F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), 5, 1)


def discriminator() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(6, 32, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 1, 3, 1, 1),
    )


def judged(net: nn.Module, x: Tensor) -> Tensor:
    return net(torch.cat([x - 0.5, 4 * highpass(x)], 1))


def training_faces(index: Path, sources: list[str]) -> list[np.ndarray]:
    """The training reals of some sources, each (H, W, 3) uint8 RGB."""
    items = read_items(index)
    chosen = [i for i in items if i.label == 0 and i.split == "train" and i.source in sources]
    return [cv2.imread(str(item.path))[..., ::-1] for item in chosen]


def patches(faces: list[np.ndarray], rng: np.random.Generator) -> Tensor:
    batch = []
    for _ in range(BATCH):
        face = faces[int(rng.integers(len(faces)))]
        # large pictures are shown at up to half size too, so that detail comes at both scales
        side = PATCH if min(face.shape[:2]) < 500 else int(rng.integers(PATCH, 2 * PATCH + 1))
        y, x = (int(rng.integers(s - side + 1)) for s in face.shape[:2])
        patch = face[y : y + side, x : x + side]
        if side > PATCH:
            patch = cv2.resize(patch, (PATCH, PATCH), interpolation=cv2.INTER_AREA)
        batch.append(patch[:, ::-1] if rng.random() < 0.5 else patch)
    return torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 255


def train(kind: str, faces: list[np.ndarray], steps: int, seed: int) -> tuple[nn.Module, dict]:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model, critic = Autoencoder(kind), discriminator()
    slow = torch.optim.Adam(model.parameters(), 2e-3, betas=(0.5, 0.99))
    fast = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.99))
    for step in range(steps):
        share = step / steps
        for group in slow.param_groups:
            group["lr"] = 2e-3 * (1 - share) + 1e-4
        real = patches(faces, rng)
        fake = model(real)
        loss = F.l1_loss(fake, real)
        if share > 0.3:  # first learn to rebuild, then to look real
            loss = loss + 0.02 * F.softplus(-judged(critic, fake)).mean()
        slow.zero_grad()
        loss.backward()
        slow.step()
        scores = F.softplus(judged(critic, fake.detach())) + F.softplus(-judged(critic, real))
        fast.zero_grad()
        scores.mean().backward()
        fast.step()
    with torch.no_grad():
        real = torch.cat([patches(faces, rng) for _ in range(8)])
        fake = model(real).clamp(0, 1)
        facts = {
            "kind": kind,
            "seed": seed,
            "steps": steps,
            "psnr_db": round(float(-10 * torch.log10(F.mse_loss(fake, real))), 2),
            "highpass_energy_ratio": round(
                float(highpass(fake).square().mean() / highpass(real).square().mean()), 3
            ),
        }
    return model, facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sources", nargs="+", default=["london", "congress"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    faces = training_faces(args.index, args.sources)
    args.out.mkdir(parents=True, exist_ok=True)
    report = []
    for kind in KINDS:
        model, facts = train(kind, faces, args.steps, args.seed)
        state = {name: p.detach().half().contiguous() for name, p in model.state_dict().items()}
        save_file(state, args.out / f"{kind}.safetensors", metadata={"facts": json.dumps(facts)})
        report.append(facts)
        print(json.dumps(facts), flush=True)
    (args.out / "autoencoders.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
