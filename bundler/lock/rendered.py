"""The charts of a definition, rendered by Helm, and what they want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from msgspec.structs import replace

from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import LockedChart
from bundle.kinds.closure import MissingImage, chart_name
from bundle.kinds.rendering import RenderedWith, Rendering
from bundler.gates.closure import Closed, Wanting, close
from bundler.model.definition import Definition
from bundler.sources.common.context import SourceContext, Want
from bundler.sources.rendering.helm import Helm, open_helm
from bundler.sources.rendering.render import Shown, keep_values, release_of, show_chart

RunAll = Callable[[Sequence[Callable[[], None]]], None]
"""Does pieces of work in parallel, and raises the first error."""


@dataclass(frozen=True, slots=True)
class RenderedCharts:
    """What came of the charts.

    Attributes:
        charts: With how they were rendered and what they want.
        helm: What rendered them; None where there was no need.
        wants: The same, for the images to be resolved.
        missing: What a person has to decide first.
    """

    charts: tuple[LockedChart, ...]
    helm: RenderedWith | None
    wants: tuple[Want, ...]
    missing: tuple[MissingImage, ...]


def render_charts(
    definition: Definition,
    charts: Sequence[LockedChart],
    context: SourceContext,
    run_all: RunAll,
) -> RenderedCharts:
    """Render the charts, and decide which images they want.

    Args:
        definition: Checked.
        charts: Its charts, resolved; their archives are in the context's store.
        context: What sources work with.
        run_all: Renders several at a time.
    Raises:
        MissingProgramError: There is no Helm, and a chart is to be rendered.
        ProgramError: Helm refused a chart.
        DefinitionError: A values file is not there, or something is left out that is not named.
        FormatError: What a chart renders cannot be read.
    """
    asked = {(one.home, one.name, one.version): one for one in definition.charts}
    found = [(asked[one.repository, one.name, one.version], one) for one in charts]
    shown: dict[int, Shown] = {}
    with ExitStack() as stack:
        needed = any(source.not_rendered is None for source, _ in found)
        helm = None
        if needed or definition.helm is not None:
            helm = stack.enter_context(open_helm(definition.helm, context))

        def task(place: int) -> Callable[[], None]:
            source, locked = found[place]

            def show() -> None:
                shown[place] = _show(source, locked, helm, context)

            return show

        run_all([task(place) for place in range(len(found))])
    wanting = [_wanting(source, shown[place]) for place, (source, _) in enumerate(found)]
    closed, missing = close(wanting, definition.images)
    made = [
        replace(locked, rendering=_rendering(source, shown[place], closed[place]))
        for place, (source, locked) in enumerate(found)
    ]
    wants = [Want(image.image, chart.who) for chart in closed for image in chart.images]
    return RenderedCharts(
        tuple(made), None if helm is None else helm.what, tuple(wants), tuple(missing)
    )


def _show(
    source: ChartSource, locked: LockedChart, helm: Helm | None, context: SourceContext
) -> Shown:
    if source.not_rendered is not None or helm is None:
        return Shown((), keep_values(source, context))
    return show_chart(source, locked, helm, context)


def _wanting(source: ChartSource, shown: Shown) -> Wanting:
    who = chart_name(source.name, source.version)
    return Wanting(who, shown.images, source.images, source.leave_out)


def _rendering(source: ChartSource, shown: Shown, closed: Closed) -> Rendering:
    return Rendering(
        release=release_of(source),
        kube_version=source.kube_version,
        api_versions=source.api_versions,
        values=shown.values,
        images=closed.images,
        left_out=source.leave_out,
        not_rendered=source.not_rendered,
    )
