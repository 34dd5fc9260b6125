"""The page of a benchmark: one self-contained file with every table and chart of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from unmask import __version__
from unmask.apps.report import numbers
from unmask.apps.report.comparison_blocks import Section
from unmask.apps.report.comparison_compat import compat_section
from unmask.apps.report.comparison_curves import curves_section, sweep_section
from unmask.apps.report.comparison_insides import embedding_section, spectra_section
from unmask.apps.report.comparison_maps import MapFiles, decisions_section, maps_section
from unmask.apps.report.comparison_record import asked_section, runs_section, verify_section
from unmask.apps.report.comparison_tables import (
    controls_section,
    groups_section,
    main_section,
    metrics_section,
    paired_section,
)
from unmask.apps.report.page import environment, source_of, still_policy
from unmask.data.atomic import replace_text
from unmask.errors import ConfigError
from unmask.evaluation.comparison.result import Result
from unmask.evaluation.comparison.scores import Facts
from unmask.evaluation.compat_files import CompatFile
from unmask.evaluation.embedding import EmbeddingMap
from unmask.evaluation.spectra import GroupSpectrum

_MARK = '<meta name="generator" content="unmask '
_TITLE = ": unmask benchmark</title>"
PAGE = "index.html"


def write_comparison(
    result: Result | Mapping[str, object],
    out: Path,
    *,
    embeddings: Mapping[str, EmbeddingMap] | None = None,
    spectra: Sequence[GroupSpectrum] = (),
    runs: Sequence[Facts] = (),
    budget: Mapping[str, str] | None = None,
    compat: CompatFile | None = None,
    maps: MapFiles | None = None,
) -> Path:
    """Write OUT/index.html, whole or not at all.

    The same arguments give the same bytes. Nothing is loaded from elsewhere and nothing runs in
    it; it can be sent by mail and opened from a disk.

    Args:
        result: all tables, as a `Result` or what is read from result.json.
        out: the benchmark's folder; made if missing.
        embeddings: arm -> its map, for the arms to show, in the order to show them.
        spectra: of the real pictures and of every generator, in the order to show them.
        runs: facts of the trainings, for their table and digests.
        budget: what every arm was given, term -> value, e.g. `{"Epochs": "20"}`.
        compat: what flawed evaluations make of the same scores, where that was asked for.
        maps: how good maps and decisions are, where that was measured.

    Returns:
        The page's path.

    Raises:
        ConfigError: OUT/index.html is there and is not such a page, or cannot be written.
        pydantic.ValidationError: `result` is a mapping that does not follow the schema.
    """
    whole = result if isinstance(result, Result) else Result.model_validate(result)
    path = out / PAGE
    check_page(path)
    parts = sections(whole, embeddings or {}, spectra, runs, budget or {}, compat, maps)
    page = render(parts, whole)
    try:
        out.mkdir(parents=True, exist_ok=True)
        replace_text(path, page)
    except OSError as error:
        raise ConfigError(
            f"The page cannot be written to {numbers.visible(str(path))}: {error}.",
            "Name a folder that you may write to.",
        ) from error
    return path


def check_page(path: Path) -> None:
    """Refuse to write over what is not the page of a benchmark.

    Raises:
        ConfigError: the file exists and unmask did not write it, or is a folder.
    """
    if not path.exists():
        return
    start = "" if path.is_dir() else path.read_text("utf-8", errors="replace")[:8192]
    if _MARK not in start or _TITLE not in start:
        raise ConfigError(
            f"{numbers.visible(str(path))} exists and is not a benchmark's page of unmask.",
            "Nothing was written. Choose another OUT.",
        )


def sections(
    result: Result,
    embeddings: Mapping[str, EmbeddingMap],
    spectra: Sequence[GroupSpectrum],
    runs: Sequence[Facts],
    budget: Mapping[str, str],
    compat: CompatFile | None = None,
    maps: MapFiles | None = None,
) -> list[Section]:
    """The parts of the page, in order; what there is nothing of is left out."""
    found = [
        main_section(result),
        asked_section(result, budget),
        paired_section(result),
        metrics_section(result),
        decisions_section(maps.decisions if maps else None),
        maps_section(maps.localization, maps.samples) if maps else None,
        groups_section(result, result.generators, "generators", "By generator", "generator"),
        groups_section(result, result.sources, "sources", "By source of the reals", "source"),
        controls_section(result),
        sweep_section(result),
        curves_section(result),
        embedding_section(embeddings),
        spectra_section(spectra),
        compat_section(compat),
        runs_section(result, runs),
        verify_section(result, runs),
    ]
    return [section for section in found if section is not None]


def render(parts: Sequence[Section], result: Result) -> str:
    """The page as HTML."""
    tool = f"unmask {__version__}"
    runs = len(result.arms) * len(result.seeds) - len(result.absent)
    counts = (
        numbers.plural(len(result.arms), "arm"),
        numbers.plural(len(result.seeds), "seed"),
        numbers.plural(runs, "run"),
        tool,
    )
    return render_sections(
        parts,
        title=result.protocol,
        dateline=" · ".join(counts),
        footer=f"End of the page. {result.schema_id}, {tool}.",
    )


def render_sections(parts: Sequence[Section], *, title: str, dateline: str, footer: str) -> str:
    """Any sections as a page of this look, as HTML."""
    env = environment()
    env.filters["quoted"] = _quoted
    style = source_of(env, "report.css", "comparison.css")
    return env.get_template("comparison.html.j2").render(
        tool=f"unmask {__version__}",
        title=title,
        dateline=dateline,
        footer=footer,
        sections=parts,
        style=Markup(style),
        policy=still_policy([style]),
    )


def _quoted(text: str) -> Markup:
    """Escaped, with what stands between backticks as code; an odd backtick stays one."""
    pieces = [escape(piece) for piece in numbers.visible(text).split("`")]
    if len(pieces) % 2 == 0:
        pieces[-2:] = [Markup("`").join(pieces[-2:])]
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if k % 2 else piece
        for k, piece in enumerate(pieces)
    )
