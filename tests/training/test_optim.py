"""SAM against its closed form, and what it leaves alone; optimisers by name; the schedule."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from unmask.errors import ConfigError
from unmask.training.config import OptimConfig
from unmask.training.optim import SAM, build_optimiser, build_schedule, parameter_groups

CURVES = torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64)


def quadratic(*parts: nn.Parameter) -> torch.Tensor:
    """1/2 w' A w with a diagonal A, w given in parts."""
    return (CURVES * torch.cat(parts) ** 2).sum() / 2


def test_equals_the_closed_form_on_a_quadratic() -> None:
    # gradient A w, so g2 = A (w + rho A w / |A w|); v = mu v + g2 + decay w; w -= lr v
    w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    one, two = nn.Parameter(w[:1].clone()), nn.Parameter(w[1:].clone())
    rho, mu, decay, rate = 0.3, 0.9, 0.01, 0.05
    groups = [{"params": [one]}, {"params": [two]}]
    sam = SAM(groups, rate, momentum=mu, weight_decay=decay, rho=rho)

    def closure() -> torch.Tensor:
        sam.zero_grad()
        loss = quadratic(one, two)
        loss.backward()
        return loss

    velocity = torch.zeros_like(w)
    for _ in range(5):
        before = float((CURVES * w**2).sum() / 2)
        g = CURVES * w
        velocity = mu * velocity + CURVES * (w + rho * g / g.norm()) + decay * w
        w = w - rate * velocity
        assert sam.step(closure).item() == pytest.approx(before, rel=1e-9)
        torch.testing.assert_close(torch.cat([one, two]).detach(), w, rtol=1e-7, atol=1e-9)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def test_running_statistics_follow_the_first_pass_only() -> None:
    model, x = network(), torch.randn(16, 4)
    expected = copy.deepcopy(model)
    expected(x)  # one forward pass at the weights before the step
    sam = SAM(model.parameters(), 0.1, rho=5.0, model=model)

    def closure() -> torch.Tensor:
        sam.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    sam.step(closure)
    for name, value in expected[1].named_buffers():
        assert torch.equal(dict(model[1].named_buffers())[name], value), name
    assert model[1].track_running_stats
    assert not torch.equal(model[0].weight, expected[0].weight)


def test_the_second_pass_is_normalised_by_its_batch() -> None:
    model, x = network(), 100 * torch.randn(16, 4)  # so that BatchNorm's eps does not count
    sam = SAM(model.parameters(), 0.1, rho=0.01, model=model)
    spreads = []
    model[1].register_forward_hook(lambda m, i, out: spreads.append(out.detach().std(0)))

    def closure() -> torch.Tensor:
        sam.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    sam.step(closure)
    assert len(spreads) == 2
    torch.testing.assert_close(spreads[1], torch.full((8,), (16 / 15) ** 0.5), rtol=0.03, atol=0)


def test_a_failing_second_pass_leaves_the_weights_as_they_were() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    sam = SAM([weight], 0.1)

    def closure() -> torch.Tensor:
        if sam.perturbed:
            raise RuntimeError("out of memory")
        sam.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="out of memory"):
        sam.step(closure)
    assert weight.tolist() == [1.0, 2.0]
    assert not sam.perturbed


def test_parameters_without_a_gradient_stay() -> None:
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    sam = SAM([used, idle], 0.1)

    def closure() -> torch.Tensor:
        sam.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return loss

    sam.step(closure)
    assert idle.tolist() == [1.0, 1.0]
    assert used.tolist() != [1.0, 1.0]


def test_its_state_round_trips() -> None:
    torch.manual_seed(0)
    runs = []
    for stop in (None, 2):
        weight = nn.Parameter(torch.tensor([1.0, -3.0]))
        sam = SAM([weight], 0.1)

        def step(sam: SAM, weight: nn.Parameter) -> None:
            def closure() -> torch.Tensor:
                sam.zero_grad()
                loss = weight.pow(4).sum()
                loss.backward()
                return loss

            sam.step(closure)

        for number in range(4):
            if number == stop:
                state, weight = sam.state_dict(), nn.Parameter(weight.detach().clone())
                sam = SAM([weight], 0.1)
                sam.load_state_dict(state)
            step(sam, weight)
        runs.append(weight.detach())
    assert torch.equal(*runs)


def test_refusals() -> None:
    weight = nn.Parameter(torch.ones(1))
    with pytest.raises(ConfigError, match="rho"):
        SAM([weight], 0.1, rho=0.0)
    with pytest.raises(ConfigError, match="closure"):
        SAM([weight], 0.1).step()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("sam", SAM),
    ],
)
def test_optimisers_by_name(name: str, kind: type[torch.optim.Optimizer]) -> None:
    model = network()
    optim = OptimConfig(optimizer=name, momentum=0.8, weight_decay=0.02, learning_rate=0.3)  # type: ignore[arg-type]
    made = build_optimiser(parameter_groups(model, optim, False), optim, model)
    assert type(made) is kind
    (group,) = made.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.02)
    assert group.get("momentum", 0.8) == 0.8


def test_a_pretrained_backbone_has_its_own_rate() -> None:
    model = nn.ModuleDict({"rgb": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    optim = OptimConfig(learning_rate=0.1, backbone_lr_factor=0.5)
    slow, rest = parameter_groups(model, optim, True)
    assert (slow["lr"], rest["lr"]) == (0.05, 0.1)
    assert {id(p) for p in slow["params"]} == {id(p) for p in model["rgb"].parameters()}
    assert {id(p) for p in rest["params"]} == {id(p) for p in model["head"].parameters()}
    assert len(parameter_groups(model, optim, False)) == 1


def test_the_schedule_warms_up_and_decays_to_zero() -> None:
    optim = OptimConfig(epochs=10, warmup_epochs=2, cosine=True, learning_rate=1.0)
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], 1.0)
    schedule = build_schedule(optimiser, optim, total=50)
    factor = schedule.lr_lambdas[0]
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([1 / 11, 5 / 11, 10 / 11])
    assert [factor(step) for step in (10, 30, 50)] == pytest.approx(
        [1, 0.5 * (1 + math.cos(math.pi / 2)), 0]
    )
