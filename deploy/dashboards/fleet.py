"""Fleet: a dashboard."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.board import finished, new_board
from deploy.dashboards.panels import READINGS_PER_SECOND, Query, graph, listing, number, quantiles, rate, total
from runtime.metrics import ProcessorMetrics as M


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = new_board(
        "Nexova fleet",
        uid="nexova-fleet",
        text="Is the plant watched, and what do its machines say: one look for everyone.",
    )
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
    board.with_row(dashboards.Row("Processes"))
    board.with_panel(
        graph(
            "Workers",
            Query(expr=total(M.ready), legend="ready"),
            Query(expr=f"count by (version, python) ({M.build.name})", legend="{{version}} on Python {{python}}"),
            unit="short",
            why="Two versions at once are a rolling restart under way.",
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
    return finished(board)
