"""Alert quality: a dashboard."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.board import finished, new_board
from deploy.dashboards.panels import Query, graph, number
from runtime.metrics import ApiMetrics as A
from runtime.metrics import ForwarderMetrics as F
from runtime.metrics import ProcessorMetrics as M


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = new_board(
        "Nexova alert quality",
        uid="nexova-alerts",
        text="What people answer, what the policy held back, and where alerts went.",
    )
    board.with_row(dashboards.Row("Alert quality"))
    board.with_panel(
        graph(
            "Precision and response",
            Query(expr=f"max ({A.alert_precision.name})", legend="precision"),
            Query(expr=f"max ({A.alert_response.name})", legend="answered"),
            unit="percentunit",
            why="Of the alerts of 30 days: confirmed among those judged, and the share that anybody answered.",
        )
    )
    board.with_panel(
        graph(
            "Openings held back",
            Query(expr=f"sum by (reason) (increase({M.alerts_suppressed.name}[1h]))", legend="{{reason}} in 1 h"),
            unit="short",
            why="Planned work, shelving, cool-down and budget; much of one reason asks for another policy.",
        )
    )
    board.with_panel(
        graph(
            "Answers of people",
            Query(expr=f"sum by (kind) (increase({M.feedback.name}[1d]))", legend="{{kind}} in a day"),
            Query(
                expr=f"sum by (result) (increase({M.policy_changes.name}[1d]))",
                legend="policy change {{result}} in a day",
            ),
            unit="short",
            why="confirmed over confirmed and false_alarm is the precision of alerts. A refused policy is in the log.",
        )
    )
    board.with_row(dashboards.Row("Forwarded"))
    board.with_panel(
        graph(
            "Forwarders",
            Query(expr=f"sum by (instance) ({F.lag.name})", legend="{{instance}}: waiting"),
            Query(expr=f"sum by (instance) ({F.open_alerts.name})", legend="{{instance}}: open"),
            Query(expr=f"max by (instance) ({F.failing.name})", legend="{{instance}}: fails"),
            unit="short",
            why="A receiver that takes nothing: what waits grows, nothing is lost.",
        )
    )
    board.with_panel(
        graph(
            "Deliveries",
            Query(expr=f"sum by (what) (increase({F.changes.name}[1h]))", legend="{{what}} in 1 h"),
            Query(expr=f"sum by (result) (increase({F.deliveries.name}[1h]))", legend="tries {{result}} in 1 h"),
            unit="short",
            why="Failed tries are repeated; refused ones are dead letters, which somebody should read.",
        )
    )
    board.with_row(dashboards.Row("Evidence"))
    board.with_panel(
        number(
            "Judged in 30 days",
            f"max ({A.alerts_judged.name})",
            unit="short",
            why="Precision says little below twenty.",
        )
    )
    return finished(board)
