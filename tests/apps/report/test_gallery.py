"""The gallery: what its pictures show, and that the page is whole, safe and readable."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.apps.report.gallery import difference, log_spectrum, spectra, views, write_gallery
from unmask.data.forging.specimens import Exhibit
from unmask.data.forging.workshop import Specimen
from unmask.errors import ConfigError
from unmask.synthesis.families import FamilySpec, Subject

POINTS = np.zeros((189, 2))


def specimen(who: str = "anna", donor: str | None = None, side: int = 96) -> Specimen:
    rng = np.random.default_rng(len(who))
    image = rng.integers(0, 255, (side, side, 3), np.uint8)
    fake = image.copy()
    fake[: side // 2] = 255 - fake[: side // 2]
    mask = np.zeros((side, side), bool)
    mask[: side // 2] = True
    other = None if donor is None else Subject(image[::-1].copy(), POINTS, donor)
    return Specimen(Subject(image, POINTS, who), other, fake, mask)


def exhibits() -> list[Exhibit]:
    def made(*_: object) -> None: ...

    swap = FamilySpec("one face for another", made, kinds=("soft", "hard"), two_people=True)
    wash = FamilySpec("the face washed", made, source="Somebody & Other 2020")
    return [
        Exhibit("swap-soft", swap, (specimen("anna", "bob"), specimen("bob", "anna")), ()),
        Exhibit("swap-hard", swap, (), ("No two <people> & none.",)),
        Exhibit("wash", wash, (specimen("<script>alert(1)</script>"),), ()),
    ]


class Page(HTMLParser):
    """Elements in order, their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    path = write_gallery(tmp_path / "new" / "g.html", exhibits(), command=["unmask", "x y"])
    page = Page(path.read_text("utf-8"))
    assert page.open == []
    assert [p.name for p in path.parent.iterdir()] == ["g.html"]
    return page


def test_every_kind_has_its_rows(page: Page) -> None:
    assert [s["id"] for s in page.all("section")] == ["swap", "wash"]
    assert "One face for another." in page.text
    assert "Somebody & Other 2020" in page.text
    assert "Our own." in page.text
    assert "swap-soft" in page.text
    assert "Not made: No two <people> & none." in page.text
    assert len(page.all("img")) == 7 + 7 + 6
    assert "'x y'" in page.text


def test_all_pictures_are_in_the_page_and_told_in_words(page: Page) -> None:
    for image in page.all("img"):
        assert (image["src"] or "").startswith("data:image/jpeg;base64,")
        assert image["alt"]
        picture = Image.open(io.BytesIO(base64.b64decode((image["src"] or "").split(",")[1])))
        assert picture.size == (int(image["width"] or 0), int(image["height"] or 0))
    places = [a.get("href") or a.get("src") or "" for _, a in page.elements]
    assert all(p.startswith(("#", "data:")) for p in places if p)


def test_names_cannot_become_markup(page: Page) -> None:
    assert page.all("script") == []
    assert "source, <script>alert(1)</script>" in page.text


def test_both_colour_schemes_and_what_is_shown_are_stated(page: Page) -> None:
    metas = {m.get("name"): m.get("content") for m in page.all("meta")}
    assert metas["color-scheme"] == "light dark"
    assert (metas["generator"] or "").startswith("unmask ")
    text = " ".join(page.text.split())
    assert "difference of forgery and source times 4" in text
    assert "luma minus its Gaussian blur of 1.0 px" in text
    assert "prefers-color-scheme: dark" in text


def test_the_rows_say_what_each_picture_is() -> None:
    captions = [view.caption for view in views(specimen("anna", "bob"))]
    assert captions == [
        "source, anna",
        "donor, bob",
        "forgery",
        "mask, 50%",
        "difference × 4",
        "spectrum, forgery",
        "spectrum, source",
    ]


def test_difference_is_absolute_and_multiplied() -> None:
    source = np.full((2, 2, 3), 100, np.uint8)
    fake = source.copy()
    fake[0, 0] = (103, 90, 0)
    expected = np.zeros((2, 2, 3), np.uint8)
    expected[0, 0] = (12, 40, 255)
    np.testing.assert_array_equal(difference(source, fake), expected)


@pytest.mark.parametrize(("u", "v"), [(32, 0), (0, 48), (20, 40)])
def test_a_wave_shines_at_its_frequency(u: int, v: int) -> None:
    side = 128
    y, x = np.mgrid[0:side, 0:side]
    wave = 128 + 40 * np.cos(2 * np.pi * (u * x + v * y) / side)
    spectrum = log_spectrum(np.rint(wave).astype(np.uint8)[..., None].repeat(3, axis=2))
    centre = side // 2
    brightest = {tuple(p) for p in np.argwhere(spectrum > spectrum.max() - 1e-4).tolist()}
    assert brightest <= {(centre + v, centre + u), (centre - v, centre - u)}
    assert brightest


def test_a_large_picture_is_cut_not_resampled() -> None:
    checks = (np.indices((400, 300)).sum(axis=0) % 2 * 60 + 90).astype(np.uint8)
    spectrum = log_spectrum(checks[..., None].repeat(3, axis=2))
    assert spectrum.shape == (256, 256)
    assert np.unravel_index(spectrum.argmax(), spectrum.shape) == (0, 0)  # both at Nyquist


def test_both_spectra_share_one_scale() -> None:
    rng = np.random.default_rng(0)
    loud = rng.integers(0, 255, (64, 64, 3), np.uint8)
    quiet = (loud // 16 + 120).astype(np.uint8)
    first, second = spectra(loud, quiet)
    assert first.shape == second.shape == (64, 64, 3)
    assert first.mean() > second.mean() + 60
    same = spectra(loud, loud)
    np.testing.assert_array_equal(*same)


def test_it_does_not_write_over_what_is_not_a_gallery(tmp_path: Path) -> None:
    path = tmp_path / "g.html"
    path.write_text("<p>a letter</p>")
    with pytest.raises(ConfigError, match="not a gallery of unmask"):
        write_gallery(path, exhibits(), command=["unmask"])
    assert path.read_text() == "<p>a letter</p>"
    with pytest.raises(ConfigError, match="not a gallery of unmask"):
        write_gallery(tmp_path, exhibits(), command=["unmask"])


def test_the_same_examples_give_the_same_page(tmp_path: Path) -> None:
    pages = [
        write_gallery(tmp_path / name, exhibits(), command=["unmask"]).read_bytes()
        for name in ("a.html", "b.html")
    ]
    assert pages[0] == pages[1]
