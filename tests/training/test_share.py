"""Shares of a batch: the order, batch normalisation of the whole, gradients of gathered tensors."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from unmask.training.batches import Order
from unmask.training.launch import run_processes
from unmask.training.share import GatheredBatchNorm, Share, synchronised


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_shares_of_each_batch_are_those_of_one_process(parts: int, world: int) -> None:
    batch = 12
    whole = list(Order(53, 7, batch=batch))
    assert len(whole) == 48
    assert sorted(set(whole)) == sorted(whole)
    orders = [Order(53, 7, batch=batch, parts=parts, place=Share(r, world)) for r in range(world)]
    shares = [list(order) for order in orders]
    each = batch // parts // world
    joined = [
        index
        for start in range(0, len(shares[0]), each)
        for own in shares
        for index in own[start : start + each]
    ]
    assert joined == whole
    assert all(len(order) == len(own) for order, own in zip(orders, shares, strict=True))


def test_another_seed_is_another_order() -> None:
    assert list(Order(40, 1, batch=4)) != list(Order(40, 2, batch=4))


def test_alone_it_is_batch_normalisation() -> None:
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5)
    nn.init.normal_(plain.weight)
    own = GatheredBatchNorm(copy.deepcopy(plain))
    for _ in range(3):
        x = 3 * torch.randn(4, 5, 6, 7) + 2
        one, other = (x.clone().requires_grad_() for _ in range(2))
        torch.testing.assert_close(own(one), plain(other))
        own(one).square().sum().backward()
        plain(other).square().sum().backward()
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)
    assert own.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], value)
    own.eval()
    plain.eval()
    torch.testing.assert_close(own(x), plain(x))


def test_synchronised_networks_keep_their_tensors_and_fused_activations() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), BatchNormAct2d(4), nn.BatchNorm2d(4))
    names = list(model.state_dict())
    x = torch.randn(2, 3, 8, 8)
    expected = model(x)
    made = synchronised(model, "cpu")
    assert list(made.state_dict()) == names
    assert sum(isinstance(m, GatheredBatchNorm) for m in made.modules()) == 2
    torch.testing.assert_close(made(x), expected, rtol=1e-4, atol=1e-5)


SCRIPT = '''
import os, sys, torch
from torch import nn
from unmask.losses import supervised_contrastive
from unmask.training.share import gathered, share, synchronised

def outcome(rows):
    """Gradients, loss and running statistics; every output depends on every picture."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
    model = synchronised(model, "cpu") if share().world > 1 else model
    x, labels = torch.randn(8, 6)[rows], torch.tensor([0, 1] * 4)[rows]
    z = model(x)
    loss = supervised_contrastive(gathered(z).flatten(0, 1), gathered(labels).flatten())
    (loss + z.square().mean()).backward()
    return [p.grad for p in model.parameters()] + [loss.detach(), *model.buffers()]

if share().world > 1:
    torch.distributed.init_process_group("gloo", rank=share().rank, world_size=2)
    found = outcome(slice(4 * share().rank, 4 * share().rank + 4))
    for gradient in found[:6]:  # as parallel training does
        torch.distributed.all_reduce(gradient)
        gradient /= 2
    torch.save(found, __file__ + str(share().rank))
    torch.distributed.destroy_process_group()
'''


def test_gradients_of_shares_are_those_of_the_whole(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    expected = runpy.run_path(str(script))["outcome"](slice(None))
    assert len(expected) == 6 + 1 + 3
    run_processes(runpy.run_path, {"path_name": str(script)}, 2)
    for rank in range(2):
        own = torch.load(f"{script}{rank}")
        for got, wanted in zip(own, expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
