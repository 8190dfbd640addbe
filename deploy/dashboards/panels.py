"""The three kinds of panel that the dashboards are made of, and the queries that go into them.

A query is made from a metric of the catalogue, never from a typed name, so a dashboard cannot ask for
what nothing exposes.
"""

from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from runtime.metrics import Metric

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="nexova-prometheus")
WHOLE_WIDTH: Final = 24
READINGS_PER_SECOND: Final = "suffix: readings/s"
_FILL_PERCENT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A PromQL expression and the legend of its series, which may hold {{label}}."""

    expr: str
    legend: str


def total(metric: Metric[Any], *, by: str = "") -> str:
    """Return the sum of a gauge over all workers, or over those that share the label `by`."""
    return f"sum{_by(by)} ({metric.name})"


def rate(metric: Metric[Any], *, by: str = "") -> str:
    """Return increments of a counter per second."""
    return f"sum{_by(by)} (rate({metric.name}[$__rate_interval]))"


def worst(metric: Metric[Any], *, by: str = "") -> str:
    """Return the largest value of a gauge."""
    return f"max{_by(by)} ({metric.name})"


def share(part: Metric[Any], whole: Metric[Any]) -> str:
    """One counter's rate as a share of another's, 0 to 1; no value where the whole stands still."""
    return f"{rate(part)} / ({rate(whole)} > 0)"


def quantiles(metric: Metric[Any]) -> tuple[Query, ...]:
    """Return the median, the 95th and the 99th percentile of a histogram, over all workers."""
    return tuple(
        Query(
            expr=f"histogram_quantile({q}, sum by (le) (rate({metric.name}_bucket[$__rate_interval])))",
            legend=f"p{q * 100:.0f}",
        )
        for q in (0.5, 0.95, 0.99)
    )


def _by(label: str) -> str:
    return f" by ({label})" if label else ""


def graph(title: str, *queries: Query, unit: str, why: str, span: int = 8, stacked: bool = False) -> timeseries.Panel:
    """Return series over time; `why` says what a reader should look for."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .span(span)
        .height(8)
        .fill_opacity(_FILL_PERCENT)
        .show_points(common.VisibilityMode.NEVER)
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    )
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel.with_target(_target(letter, query))
    return panel


def number(
    title: str,
    expr: str,
    *,
    unit: str,
    why: str,
    limits: tuple[float | None, float | None] = (None, None),
    texts: dict[str, tuple[str, str]] | None = None,
) -> stat.Panel:
    """One number with its recent course.

    From `limits` on it is yellow and red; `texts` says what to show for a value, as value -> (text, colour).
    """
    yellow, red = limits
    steps = [dashboard.Threshold(value=None, color="green")]
    steps += [] if yellow is None else [dashboard.Threshold(value=yellow, color="yellow")]
    steps += [] if red is None else [dashboard.Threshold(value=red, color="red")]
    mapped: list[dashboard.ValueMapping] = [
        dashboard.ValueMap(options={value: dashboard.ValueMappingResult(text=text, color=color)})
        for value, (text, color) in (texts or {}).items()
    ]
    return (
        stat.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(4)
        .height(4)
        .no_value("no data")
        .mappings(mapped)
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(_target("A", Query(expr=expr, legend=title)))
    )


def listing(title: str, expr: str, *, why: str, span: int = 8) -> table.Panel:
    """Return the label sets of an expression as they are now, one row each."""
    query = prometheus.Dataquery().ref_id("A").expr(expr).instant().format(PromQueryFormat.TABLE).datasource(DATASOURCE)
    hidden = {"Time": True, "Value": True, "__name__": True}
    return (
        table.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .span(span)
        .height(8)
        .with_target(query)
        .with_transformation(dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden}))
    )


def _target(letter: str, query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .ref_id(letter)
        .expr(query.expr)
        .legend_format(query.legend)
        .range()
        .datasource(DATASOURCE)
    )
