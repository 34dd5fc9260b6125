"""Train the small diffusion model that `unmask.synthesis.diffusion` takes its last steps from.

    python tools/train_denoiser.py INDEX.csv src/unmask/synthesis/weights

A few minutes on one CPU core. Only training reals of the permissive sources are used (`--sources`),
so the weights carry no non-commercial terms. Loss: squared error of the noise (Ho et al. 2020,
"Denoising diffusion probabilistic models", eq. 14), its deviation drawn log-uniformly.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from train_autoencoders import patches, training_faces

from unmask.synthesis.diffusion import SIGMAS, Denoiser


def noised(clean: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) in [-1, 1] and (N,) -> the noisy pictures and the noise over sigma."""
    noise = torch.randn_like(clean)
    return clean + sigma.view(-1, 1, 1, 1) * noise, noise


def psnr(model: Denoiser, clean: Tensor, level: float) -> float:
    """Of pictures denoised in one step from `level` grey levels of noise, in dB."""
    sigma = torch.full((len(clean),), level / 127.5)
    noisy, _ = noised(clean, sigma)
    rebuilt = (noisy - sigma.view(-1, 1, 1, 1) * model(noisy, sigma)).clamp(-1, 1)
    return round(float(-10 * torch.log10(F.mse_loss(rebuilt, clean) / 4)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sources", nargs="+", default=["london", "congress"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    faces = training_faces(args.index, args.sources)
    model = Denoiser()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    low, high = (float(np.log(s / 127.5)) for s in SIGMAS)
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - step / args.steps) + 1e-5
        clean = patches(faces, rng) * 2 - 1
        sigma = torch.exp(torch.empty(len(clean)).uniform_(low, high))
        noisy, noise = noised(clean, sigma)
        loss = F.mse_loss(model(noisy, sigma), noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 500 == 0:
            print(step, round(float(loss.detach()), 4), flush=True)
    model.eval()
    with torch.no_grad():
        clean = torch.cat([patches(faces, rng) for _ in range(8)]) * 2 - 1
        quality = {str(level): psnr(model, clean, level) for level in (5.0, 10.0, 20.0, 40.0)}
    args.out.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, args.out / "denoiser.safetensors")
    facts = {"seed": args.seed, "steps": args.steps, "psnr_db_at_noise": quality}
    (args.out / "denoiser.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
