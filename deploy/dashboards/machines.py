"""Machines: a dashboard."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.board import finished, new_board
from deploy.dashboards.panels import Query, graph, quantiles, rate, share, worst
from runtime.metrics import ProcessorMetrics as M


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = new_board(
        "Nexova machines",
        uid="nexova-machines",
        text="What machines do, by condition and band; one machine by itself is a page of the console.",
    )
    board.with_row(dashboards.Row("Scores"))
    board.with_panel(
        graph(
            "Scores flagged",
            Query(expr=share(M.scores_flagged, M.readings_scored), legend="share of scores"),
            Query(expr=worst(M.anomaly_rate), legend="of the newest 10,000, worst worker"),
            unit="percentunit",
            why="On healthy machines about the stated false alarm rate; a lasting rise is drift.",
        )
    )
    board.with_panel(
        graph(
            "Anomaly scores",
            *quantiles(M.scores),
            unit="none",
            why="Calibrated: p99 of healthy machines is near 0.5. All of them rising is another world or model.",
        )
    )
    board.with_panel(
        graph(
            "Recommendations",
            Query(expr=f"sum by (band) (increase({M.recommendations.name}[1h]))", legend="{{band}} in 1 h"),
            unit="short",
            why="Maintenance advice, published when a machine changes its band and once a day.",
        )
    )
    board.with_row(dashboards.Row("Energy"))
    board.with_panel(
        graph(
            "Completeness of hours",
            *quantiles(M.energy_completeness),
            unit="percentunit",
            why="Share of an hour that has readings. Low for all: an interval in the plant file that is too short.",
        )
    )
    board.with_panel(
        graph(
            "Energy windows",
            Query(expr=f"sum by (state) (increase({M.energy_windows.name}[1h]))", legend="{{state}} in 1 h"),
            Query(expr=f"sum by (kind) (increase({M.meter_steps.name}[1h]))", legend="meter: {{kind}} in 1 h"),
            unit="short",
            why="One final window per machine and hour; revised ones come from late data. Unknown steps of a meter are "
            "more than the plant file calls possible.",
        )
    )
    board.with_panel(
        graph(
            "Unknown sensors",
            Query(expr=rate(M.unknown_sensors), legend="values ignored"),
            unit="short",
            why="Values that the plant file knows no sensor for: a renamed sensor or a missing plant entry.",
        )
    )
    return finished(board)
