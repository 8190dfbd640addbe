"""Rows of the dashboard on alert quality, and on state and the models' age."""

from grafana_foundation_sdk.builders import dashboard as dashboards

from deploy.dashboards.panels import Query, graph, total
from runtime.metrics import ProcessorMetrics as M


def add_alert_quality(board: dashboards.Dashboard) -> None:
    """Add what people answer, and what the alert policy held back."""
    board.with_row(dashboards.Row("Alert quality"))
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


def add_state(board: dashboards.Dashboard) -> None:
    """Add what state costs, what was lost or forgotten, and how old the models are."""
    board.with_row(dashboards.Row("State and models"))
    board.with_panel(
        graph(
            "State saved",
            Query(expr=f"sum(rate({M.changelog_bytes.name}[$__rate_interval]))", legend="changelog"),
            unit="Bps",
            why="Follows the readings, not the fleet.",
        )
    )
    board.with_panel(
        graph(
            "Lost, forgotten, left out",
            Query(expr=f"sum by (topic) (increase({M.records_lost.name}[1h]))", legend="records of {{topic}} lost"),
            Query(expr=f"sum(increase({M.partitions_lost.name}[1h]))", legend="partitions lost"),
            Query(expr=f"sum(increase({M.machines_forgotten.name}[1h]))", legend="machines forgotten"),
            Query(expr=f"sum(increase({M.dead_letters_left_out.name}[1h]))", legend="dead letters left out"),
            unit="short",
            why="Lost records were deleted by retention before they were read: read faster, or keep them longer.",
        )
    )
    board.with_panel(
        graph(
            "Restored",
            Query(expr=f"min by (instance, table) ({M.restore_progress.name})", legend="{{instance}}: {{table}}"),
            unit="percentunit",
            why="Of the state of assigned partitions; the slowest of each worker. Standing still is an alarm.",
        )
    )
    board.with_panel(
        graph(
            "Training",
            Query(expr=f"max by (name, reason) ({M.training_excluded.name})", legend="{{name}}: {{reason}}"),
            unit="short",
            why="Readings that the newest version was not trained on, and why.",
        )
    )
    board.with_panel(
        graph(
            "Age of the models",
            Query(expr=f"time() - max by (name) ({M.model_trained.name})", legend="{{name}} in use"),
            Query(expr=f"time() - max by (name) ({M.training_newest.name})", legend="{{name}} newest trained"),
            Query(expr=f"max by (name) ({M.training_rejected.name})", legend="{{name}} newest was rejected"),
            unit="s",
            why="A model older than the plant's last change of habits knows another plant.",
        )
    )
    board.with_panel(
        graph(
            "Workers",
            Query(expr=total(M.ready), legend="ready"),
            Query(expr=f"count by (version, python) ({M.build.name})", legend="{{version}} on Python {{python}}"),
            unit="short",
            why="Two versions at once are a rolling restart under way.",
        )
    )
