"""Forecast quality: a dashboard."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.board import finished, new_board
from deploy.dashboards.panels import Query, graph, quantiles, rate, total, worst
from runtime.metrics import ProcessorMetrics as M


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = new_board(
        "Nexova forecast quality",
        uid="nexova-forecasts",
        text="Are forecasts made, and do they hold what they promise.",
    )
    board.with_row(dashboards.Row("Quality"))
    board.with_panel(
        graph(
            "Forecast error (WAPE)",
            Query(expr=_ratio(M.forecast_error.name, M.forecast_actual.name), legend="{{horizon}}"),
            unit="percentunit",
            why="Of what was issued, against what was measured since, by day of the horizon.",
        )
    )
    board.with_panel(
        graph(
            "Coverage of the 80 % interval",
            Query(expr=_ratio(M.forecast_covered.name, M.forecast_points.name), legend="{{horizon}}"),
            unit="percentunit",
            why="Should stay near 0.8. Much lower: too sure of itself; much higher: of little use.",
        )
    )
    board.with_panel(
        graph(
            "Interval score",
            Query(expr=_ratio(M.forecast_interval_score.name, M.forecast_points.name), legend="{{horizon}}"),
            unit="kwatth",
            why="Winkler score per hour: the width, and a penalty for what lay outside. Lower is better.",
        )
    )
    board.with_row(dashboards.Row("Production"))
    board.with_panel(
        graph(
            "Forecasts made",
            Query(expr=f"sum by (result) (increase({M.forecasts.name}[1h]))", legend="{{result}} in 1 h"),
            unit="short",
            why="One per machine and hour. too_slow and failed: the seasonal median answered instead.",
        )
    )
    board.with_panel(
        graph(
            "Series waiting or fallen back",
            Query(expr=total(M.forecasts_waiting), legend="waiting"),
            Query(expr=total(M.forecasts_fallen_back), legend="champion worse than the seasonal median"),
            Query(expr=rate(M.history_hours), legend="imported hours a second"),
            Query(expr=worst(M.forecast_fallback_share), legend="share fallen back, worst worker"),
            unit="short",
            why="Waiting must come down within the hour; else more workers, or a longer time between forecasts.",
        )
    )
    board.with_panel(
        graph(
            "Seconds of a forecast",
            *quantiles(M.forecast_duration),
            unit="s",
            why="In a process of low priority, so a busy machine stretches it.",
        )
    )
    return finished(board)


def _ratio(part: str, whole: str) -> str:
    """Over a day: errors of one hour say little."""
    return f"sum by (horizon) (increase({part}[1d])) / sum by (horizon) (increase({whole}[1d]))"
