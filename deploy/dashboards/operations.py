"""The operations dashboard: is it alive, does it keep up, how fast does it alert, what do machines say."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.alert_quality import add_alert_quality, add_state
from deploy.dashboards.forecasts import add_forecasts
from deploy.dashboards.panels import (
    READINGS_PER_SECOND,
    WHOLE_WIDTH,
    Query,
    graph,
    listing,
    number,
    quantiles,
    rate,
    share,
    total,
    worst,
)
from runtime.metrics import ProcessorMetrics as M

TITLE: Final = "Nexova operations"
_HALF: Final = WHOLE_WIDTH // 2


def build() -> dashboard.Dashboard:
    """Return the whole dashboard; the rows go from "does it live" to the details."""
    board = (
        dashboards.Dashboard(TITLE)
        .uid("nexova-operations")
        .description("Nexova's processors: health, throughput, latency, Kafka, alerts and models.")
        .tags(["nexova"])
        .timezone("browser")
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    _at_a_glance(board)
    _throughput(board)
    _kafka(board)
    _latency(board)
    _machines(board)
    add_forecasts(board)
    add_alert_quality(board)
    add_state(board)
    _models_and_process(board)
    built = board.build()
    for position, panel in enumerate(built.panels or (), start=1):
        panel.id_val = position  # links to a panel hold its id, so it must not be left to Grafana
    return built


def _at_a_glance(board: dashboards.Dashboard) -> None:
    board.with_row(dashboards.Row("At a glance"))
    board.with_panel(
        number(
            "Workers healthy",
            f"min ({M.healthy.name})",
            unit="none",
            why="The worst worker's /healthz; below, which check fails.",
            texts={"0": ("a check fails", "red"), "1": ("all pass", "green")},
        )
    )
    board.with_panel(
        number(
            "Readings accepted",
            rate(M.readings_accepted),
            unit=READINGS_PER_SECOND,
            why="Valid readings per second, all workers. Zero while machines run is an alarm.",
        )
    )
    board.with_panel(
        number(
            "Consumer lag",
            total(M.consumer_lag),
            unit="short",
            why="Kafka records that wait to be read. It may jump; it must not keep growing.",
            limits=(10_000, 100_000),
        )
    )
    board.with_panel(
        number(
            "Reading to alert, p95",
            quantiles(M.reading_to_alert)[1].expr,
            unit="s",
            why="From a reading's Kafka timestamp to the alert's delivery; no data while nothing alerts.",
            limits=(2, 10),
        )
    )
    board.with_panel(
        number(
            "Alerts open",
            total(M.alerts_open),
            unit="short",
            why="All kinds, all workers. Many at once point to a common cause or a wrong limit.",
        )
    )
    board.with_panel(
        number(
            "Dead letters",
            rate(M.dead_letters),
            unit=READINGS_PER_SECOND,
            why="Refused readings per second; the topic nexova.dead-letters holds each with its reason.",
            limits=(0.1, 10),
        )
    )


def _throughput(board: dashboards.Dashboard) -> None:
    board.with_row(dashboards.Row("Throughput"))
    board.with_panel(
        graph(
            "Readings",
            Query(expr=rate(M.readings_accepted), legend="accepted"),
            Query(expr=rate(M.readings_scored), legend="scored"),
            Query(expr=rate(M.readings_rejected), legend="rejected"),
            Query(expr=rate(M.readings_replayed), legend="replayed"),
            Query(expr=rate(M.readings_late), legend="late"),
            unit=READINGS_PER_SECOND,
            why="Accepted and scored part where machines are off, idle or new. Replays follow a restart.",
        )
    )
    board.with_panel(
        graph(
            "Dead letters by reason",
            Query(expr=f"{rate(M.dead_letters, by='reason')} > 0", legend="{{reason}}"),
            unit=READINGS_PER_SECOND,
            why="One reason rising alone points to one sender.",
            stacked=True,
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
    board.with_panel(
        graph(
            "Output messages",
            Query(expr=rate(M.output_messages, by="topic"), legend="{{topic}}"),
            unit="mps",
            why="What the broker acknowledged, by topic.",
            span=_HALF,
        )
    )
    board.with_panel(
        graph(
            "Output failures",
            Query(expr=rate(M.output_failures, by="topic"), legend="{{topic}}"),
            unit="mps",
            why="Anything above zero holds back the checkpoint and is retried from the input.",
            span=_HALF,
        )
    )


def _kafka(board: dashboards.Dashboard) -> None:
    board.with_row(dashboards.Row("Kafka"))
    board.with_panel(
        graph(
            "Lag by partition",
            Query(expr=worst(M.consumer_lag, by="partition"), legend="partition {{partition}}"),
            unit="short",
            why="One partition alone: a hot machine or a stuck worker. All of them: too few workers.",
        )
    )
    board.with_panel(
        graph(
            "Watermark delay by partition",
            Query(expr=worst(M.watermark_delay, by="partition"), legend="partition {{partition}}"),
            Query(expr=worst(M.watermark_skew, by="partition"), legend="partition {{partition}} behind the furthest"),
            unit="s",
            why="How far event time lies behind the clock: late senders, or a backlog.",
        )
    )
    board.with_panel(
        graph(
            "Rebalances and checkpoints",
            Query(expr=f"sum (increase({M.rebalances.name}[5m]))", legend="rebalances in 5 min"),
            Query(
                expr=f'sum (increase({M.checkpoints.name}{{result="failed"}}[5m]))',
                legend="failed checkpoints in 5 min",
            ),
            unit="short",
            why="Frequent rebalances mean workers that come and go; a failed checkpoint moves no offset.",
        )
    )


def _latency(board: dashboards.Dashboard) -> None:
    board.with_row(dashboards.Row("Latency"))
    board.with_panel(
        graph(
            "Reading to alert",
            *quantiles(M.reading_to_alert),
            unit="s",
            why="What the on-call person waits for, from the reading's arrival in Kafka.",
        )
    )
    board.with_panel(
        graph(
            "Checkpoint",
            *quantiles(M.checkpoint_duration),
            unit="s",
            why="Outputs flushed, state to the changelog, offsets moved. Grows with the machines.",
        )
    )
    board.with_panel(
        graph(
            "Micro-batch",
            *quantiles(M.batch_duration),
            Query(expr=worst(M.event_loop_lag), legend="event loop lag"),
            unit="s",
            why="A long batch holds up the event loop, and with it heartbeats to Kafka.",
        )
    )


def _machines(board: dashboards.Dashboard) -> None:
    board.with_row(dashboards.Row("Machines and alerts"))
    board.with_panel(
        graph(
            "Machines by condition",
            Query(expr=total(M.machines, by="condition"), legend="{{condition}}"),
            unit="short",
            why="The sum is the fleet; silent machines should be none.",
            stacked=True,
        )
    )
    board.with_panel(
        graph(
            "Alerts open by kind",
            Query(expr=total(M.alerts_open, by="kind"), legend="{{kind}}"),
            unit="short",
            why="What people are asked to look at now.",
            stacked=True,
        )
    )
    board.with_panel(
        graph(
            "Alerts opened",
            Query(
                expr=f'sum by (severity) (increase({M.alerts.name}{{state="opened"}}[1h]))',
                legend="{{severity}} in 1 h",
            ),
            unit="short",
            why="More than a person can read in an hour is a fault of the policy, not of the machines.",
        )
    )
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
            "Drift of models",
            Query(expr=worst(M.model_drift, by="name"), legend="{{name}}"),
            unit="none",
            why="Population stability index against what the version said first: 0.1 is a shift, 0.25 a large one.",
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


def _models_and_process(board: dashboards.Dashboard) -> None:
    board.with_row(dashboards.Row("Models and workers"))
    board.with_panel(
        listing(
            "Models in use",
            M.model_info.name,
            why="Two versions of one name: a roll-out in progress, or stuck.",
        )
    )
    board.with_panel(
        listing(
            "Failing health checks",
            f"{M.health_checks_failed.name} == 1",
            why="Empty is good. docs/operations.md says what each check means.",
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
            "Memory",
            Query(expr="process_resident_memory_bytes", legend="{{instance}}"),
            Query(expr=total(M.state_size), legend="state saved by a checkpoint"),
            unit="bytes",
            why="Must stay flat while a backlog is worked off.",
        )
    )
    board.with_panel(
        graph(
            "Processor time",
            Query(expr="rate(process_cpu_seconds_total[$__rate_interval])", legend="{{instance}}"),
            unit="percentunit",
            why="1 is one core; a worker uses one, so at 1 it is time for another worker.",
        )
    )
