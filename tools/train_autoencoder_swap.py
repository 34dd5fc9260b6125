"""Train the shared encoder and one decoder per person, eight minutes on one CPU core.

    python tools/train_autoencoder_swap.py INDEX.csv src/unmask/synthesis/weights

Only reals of the permissive sources are used (`--sources`), so the weights carry no non-commercial
terms. The people painted (`PEOPLE`, somebody of every split) have two pictures each; so that the
encoder knows more than their faces, half of every batch are all training people's, rebuilt by a
decoder that is thrown away. Loss: L1 + 2 x L1 of the high-pass residual + 0.001 x the code's mean
square, with Gaussian noise on the code. What the encoder sees is warped at random and the decoder
must undo it; what both see is moved, bent and lit at random.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from unmask.data.crops import prepare_crops
from unmask.data.items import read_items
from unmask.synthesis.autoencoder_swap import (
    PEOPLE,
    REACH,
    SIDE,
    Decoder,
    Encoder,
    aligning,
    oval,
    standardised,
)
from unmask.synthesis.shape import dense_landmarks

WIDE = 80  # pixels of the same scale around the aligned square, so that it can be moved
EVERYONE, EACH = 16, 6  # faces per batch
NOISE = 0.3


def faces_of(index: Path, sources: list[str], split: str, cache: Path) -> tuple[Tensor, list[str]]:
    """(N, 3, WIDE, WIDE), standardised, aligned with surroundings; and whose they are."""
    items = [
        i for i in read_items(index) if i.label == 0 and i.split == split and i.source in sources
    ]
    crops = prepare_crops(items, cache)
    faces = []
    for i in range(len(crops)):
        matrix = aligning(dense_landmarks(crops.landmarks[i]), 4 * WIDE, REACH * WIDE / SIDE)
        wide = cv2.warpAffine(
            crops.image(i), matrix, (4 * WIDE, 4 * WIDE), borderMode=cv2.BORDER_REFLECT
        )
        wide = cv2.resize(wide, (WIDE, WIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        rim = (WIDE - SIDE) // 2
        _, mean, deviation = standardised(wide[rim:-rim, rim:-rim])
        faces.append((wide - mean) / deviation * 0.18 + 0.5)
    batch = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).contiguous()
    return batch, [item.identity for item in crops.items]


def chosen(faces: Tensor, whose: list[str], identity: str) -> Tensor:
    """One person's faces; stops where there are none."""
    mine = [i for i, name in enumerate(whose) if name == identity]
    if not mine:
        raise SystemExit(f"The index has no face of {identity} in the split it is expected in.")
    return faces[mine]


def uniform(low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(shape) * (high - low) + low


def bend(count: int, cells: int, amount: float) -> Tensor:
    """(N, SIDE, SIDE, 2) smooth random displacement in units of half the square."""
    nodes = torch.randn(count, 2, cells, cells) * amount
    wide = F.interpolate(nodes, (SIDE, SIDE), mode="bicubic", align_corners=True)
    return wide.permute(0, 2, 3, 1)


def still(wide: Tensor) -> Tensor:
    rim = (WIDE - SIDE) // 2
    return wide[..., rim:-rim, rim:-rim]


def pairs(wide: Tensor) -> tuple[Tensor, Tensor]:
    """(warped, upright): what the encoder sees and what the decoder must paint."""
    n = len(wide)
    angle, scale = uniform(-0.08, 0.08, n), uniform(0.95, 1.05, n)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    axis = torch.linspace(-1, 1, SIDE + 1)[:-1] + 1 / SIDE
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).expand(n, -1, -1, -1)
    move = torch.einsum("nij,nhwj->nhwi", turn * scale.view(n, 1, 1), grid)
    move = move + uniform(-0.05, 0.05, n, 1, 1, 2) + bend(n, 4, 0.025)
    both = torch.cat([move, move + bend(n, 5, 0.045)]) * (SIDE / WIDE)
    seen = F.grid_sample(
        wide.repeat(2, 1, 1, 1), both, padding_mode="reflection", align_corners=False
    )
    upright, warped = lit(seen[:n], seen[n:])
    soft = F.avg_pool2d(F.pad(warped, (1, 1, 1, 1), mode="replicate"), 3, 1)
    warped = warped + (soft - warped) * uniform(0, 1, n, 1, 1, 1)
    return warped + torch.randn_like(warped) * uniform(0, 0.03, n, 1, 1, 1), upright


def lit(*pictures: Tensor) -> list[Tensor]:
    """Contrast, colour cast and a light from one side, alike for all pictures."""
    n = len(pictures[0])
    axis = torch.linspace(-1, 1, SIDE)
    side = uniform(-0.12, 0.12, n, 1, 1, 1) * axis.view(1, 1, 1, -1)
    side = side + uniform(-0.1, 0.1, n, 1, 1, 1) * axis.view(1, 1, -1, 1)
    gain, cast = uniform(0.85, 1.15, n, 3, 1, 1), uniform(-0.03, 0.03, n, 3, 1, 1)
    return [(picture - 0.5) * gain + 0.5 + side + cast for picture in pictures]


def highpass(x: Tensor) -> Tensor:
    return x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def psnr(fake: Tensor, real: Tensor) -> float:
    """Within the oval, on standardised pictures (peak 1, deviation 0.18), in dB."""
    inside = torch.from_numpy(oval())
    return round(float(-10 * torch.log10(F.mse_loss(fake[..., inside], real[..., inside]))), 2)


def train(
    everyone: Tensor, people: list[Tensor], steps: int, seed: int
) -> tuple[Encoder, list[Decoder]]:
    """The encoder and len(people) + 1 decoders, the last of which paints anyone."""
    torch.manual_seed(seed)
    encoder, decoders = Encoder(), [Decoder() for _ in range(len(people) + 1)]
    models = torch.nn.ModuleList([encoder, *decoders]).to(memory_format=torch.channels_last)
    slow = torch.optim.Adam(models.parameters(), 1e-3, betas=(0.9, 0.99))
    weight = 0.2 + torch.from_numpy(oval()).float()
    for step in range(steps):
        for group in slow.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 100) * (1 - step / steps) + 1e-5
        chosen = [mine[torch.randint(len(mine), (EACH,))] for mine in people]
        anyone = everyone[torch.randint(len(everyone), (EVERYONE,))]
        chosen.append(torch.cat([anyone[: EVERYONE // 2], anyone[EVERYONE // 2 :].flip(-1)]))
        warped, upright = pairs(torch.cat(chosen))
        codes = encoder(warped.contiguous(memory_format=torch.channels_last))
        shares = (codes + NOISE * torch.randn_like(codes)).split([len(c) for c in chosen])
        painted = torch.cat([d(c) for d, c in zip(decoders, shares, strict=True)])
        wrong = (painted - upright).abs() + 2 * (highpass(painted) - highpass(upright)).abs()
        loss = (wrong * weight).mean() + 1e-3 * codes.square().mean()
        slow.zero_grad()
        loss.backward()
        slow.step()
        if step % 250 == 0:
            print(step, round(loss.item(), 4), flush=True)
    return encoder.eval(), [d.eval() for d in decoders]


@torch.no_grad()
def centre(
    encoder: Encoder, decoders: list[Decoder], everyone: Tensor, people: list[Tensor]
) -> None:
    """Make codes relative: the encoder's to all people's mean, a decoder's to its person's.

    So anyone's code, as it differs from the average face, is painted as the same difference from
    the person's own average.
    """
    mean = encoder(pairs(everyone.repeat(2, 1, 1, 1))[0]).mean(0)
    for decoder, mine in zip(decoders, people, strict=False):
        codes = encoder(pairs(mine.repeat(400, 1, 1, 1))[0])
        own = codes.mean(0)
        _, spread, axes = torch.linalg.svd(codes - own, full_matrices=False)
        decoder.axes.copy_(axes)
        decoder.spread.copy_(spread / len(codes) ** 0.5)
        decoder.widen.bias += decoder.widen.weight @ own
    encoder.narrow.bias -= mean


def save(model: torch.nn.Module, path: Path, facts: dict[str, object]) -> None:
    state = {name: p.detach().half().contiguous() for name, p in model.state_dict().items()}
    save_file(state, path, metadata={"facts": json.dumps(facts)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sources", nargs="+", default=["london", "congress"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            split: faces_of(args.index, args.sources, split, Path(folder))
            for split in ("train", "val", "test")
        }
    everyone, unseen = found["train"][0], found["val"][0]
    people = [chosen(*found[split], identity) for identity, split in PEOPLE.values()]
    encoder, decoders = train(everyone, people, args.steps, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, object] = {
        "command": f"python tools/train_autoencoder_swap.py INDEX.csv OUT --steps {args.steps}"
        f" --seed {args.seed}",
        "seed": args.seed,
        "steps": args.steps,
        "faces": len(everyone),
        "people": {name: identity for name, (identity, _) in PEOPLE.items()},
    }
    with torch.no_grad():
        quality = {}
        for name, mine, decoder in zip(PEOPLE, people, decoders, strict=False):
            upright = still(mine)
            quality[name] = psnr(decoder(encoder(upright)), upright)
        upright = still(unseen)
        facts["psnr_db"] = quality
        facts["psnr_db_of_unseen_people_by_the_decoder_of_all"] = psnr(
            decoders[-1](encoder(upright)), upright
        )
    centre(encoder, decoders, everyone, people)
    save(encoder, args.out / "swap_encoder.safetensors", facts)
    for name, decoder in zip(PEOPLE, decoders, strict=False):
        save(decoder, args.out / f"swap_{name}.safetensors", {**facts, "person": name})
    (args.out / "autoencoder_swap.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
