"""From the mouse to the weights: a mask painted in the browser takes part in LAE's second stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.integration.browser.conftest import CHROMIUM, Site, Window, on_screen, painting
from tests.training.lae.conftest import make_index, settings

from unmask.data.annotation.pictures import read_pictures
from unmask.data.annotation.queue import extended, write_home, write_queue
from unmask.training.lae.config import LAETrainConfig
from unmask.training.lae.data import Corpus, stored_masks
from unmask.training.lae.run import Work, load_lae
from unmask.training.lae.source import resolve_data

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def drawn_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def annotations(drawn_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project about one training fake."""
    store = tmp_path_factory.mktemp("project")
    picture = next(p for p in read_pictures(drawn_index) if p.path.startswith("seenway/"))
    write_home(store, drawn_index)
    write_queue(store, extended([], "random", [(picture, None)]))
    return store


def test_a_painted_mask_changes_the_second_stage(
    window: Window, site: Site, drawn_index: Path, tmp_path: Path
) -> None:
    with painting(window, "mouse", drawn_index):
        x0, y0 = on_screen(window, 0.2, 0.5)
        x1, y1 = on_screen(window, 0.4, 0.5)
        window.page.mouse.move(x0, y0)
        window.page.mouse.down()
        window.page.mouse.move(x1, y1, steps=5)
        window.page.mouse.up()
        window.page.click("#accept")
        window.page.wait_for_selector("text=Stored: mask, revision 1.")
    config = LAETrainConfig.model_validate(settings())
    corpus = Corpus.of(resolve_data(config.data, drawn_index), tmp_path / "cache")
    found = stored_masks(site.annotations, corpus, config.input())
    assert (found.count, found.left_out) == (1, {})
    (mask,) = found.masks.values()
    columns = np.nonzero(mask)[1] / mask.shape[1]
    assert columns.max() < 0.75
    work = Work(config, corpus, 0)
    work.first(tmp_path / "stage-1")
    painted = work.second(tmp_path / "painted", tmp_path / "stage-1", found.masks)
    bare = work.second(tmp_path / "bare", tmp_path / "stage-1", {})
    assert (painted.masks, bare.masks) == (1, 0)
    with_mask, without = (load_lae(tmp_path / name)[0] for name in ("painted", "bare"))
    one, other = with_mask.latent.weight.detach(), without.latent.weight.detach()
    assert not np.allclose(one.numpy(), other.numpy())
