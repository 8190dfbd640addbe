"""Models and training: a dashboard."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.board import finished, new_board
from deploy.dashboards.panels import Query, graph, listing, worst
from runtime.metrics import ProcessorMetrics as M


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = new_board(
        "Nexova models and training",
        uid="nexova-models",
        text="Which versions run, how they compare, how old they are, and what training left out.",
    )
    board.with_row(dashboards.Row("In use"))
    board.with_panel(
        listing(
            "Models in use",
            M.model_info.name,
            why="Two versions of one name: a roll-out in progress, or stuck.",
        )
    )
    board.with_panel(
        graph(
            "Alert rate of each version",
            Query(
                expr=f"sum by (name, version, role) (rate({M.model_alerting.name}[$__rate_interval])) "
                f"/ sum by (name, version, role) (rate({M.model_scored.name}[$__rate_interval]))",
                legend="{{name}} {{version}} ({{role}})",
            ),
            Query(
                expr=f"sum by (name) (increase({M.model_rollbacks.name}[1h])) > 0",
                legend="{{name}} was rolled back",
            ),
            unit="percentunit",
            why="On the same readings. A new version that is far from the previous one is rolled back.",
        )
    )
    board.with_panel(
        graph(
            "Model fallbacks",
            Query(
                expr=f"sum by (name, reason) (increase({M.model_fallbacks.name}[1h]))",
                legend="{{name}}: {{reason}}",
            ),
            unit="short",
            why="Times a model could not be used and a simpler level answered.",
        )
    )
    board.with_row(dashboards.Row("Drift and age"))
    board.with_panel(
        graph(
            "Drift of models",
            Query(expr=worst(M.model_drift, by="name"), legend="{{name}}"),
            unit="none",
            why="Population stability index against what the version said first: 0.1 is a shift, 0.25 a large one.",
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
            "Training",
            Query(expr=f"max by (name, reason) ({M.training_excluded.name})", legend="{{name}}: {{reason}}"),
            unit="short",
            why="Readings that the newest version was not trained on, and why.",
        )
    )
    return finished(board)
