"""Stream health: a dashboard."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard

from deploy.dashboards.board import finished, new_board
from deploy.dashboards.panels import READINGS_PER_SECOND, Query, graph, quantiles, rate, total, worst
from runtime.metrics import ProcessorMetrics as M


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = new_board(
        "Nexova stream health",
        uid="nexova-stream",
        text="From Kafka to Kafka: lag, time, checkpoints, refusals, and what was lost.",
    )
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
            "Devices whose clock is wrong",
            Query(expr=total(M.clocks_wrong), legend="devices"),
            unit="short",
            why="Their readings are late or early; each has an open alert that says by how much.",
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
    board.with_panel(
        graph(
            "CPU by stage",
            Query(expr=rate(M.stage_cpu, by="stage"), legend="{{stage}}"),
            unit="percentunit",
            why="Share of one core that each stage of the batches takes; the clients of Kafka come on top.",
            stacked=True,
        )
    )
    board.with_row(dashboards.Row("Output"))
    board.with_panel(
        graph(
            "Output messages",
            Query(expr=rate(M.output_messages, by="topic"), legend="{{topic}}"),
            unit="mps",
            why="What the broker acknowledged, by topic.",
        )
    )
    board.with_panel(
        graph(
            "Output failures",
            Query(expr=rate(M.output_failures, by="topic"), legend="{{topic}}"),
            unit="mps",
            why="Anything above zero holds back the checkpoint and is retried from the input.",
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
    board.with_row(dashboards.Row("State"))
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
            "Restored",
            Query(expr=f"min by (instance, table) ({M.restore_progress.name})", legend="{{instance}}: {{table}}"),
            unit="percentunit",
            why="Of the state of assigned partitions; the slowest of each worker. Standing still is an alarm.",
        )
    )
    board.with_panel(
        graph(
            "Lost, forgotten, left out",
            Query(expr=f"sum by (topic) (increase({M.records_lost.name}[1h]))", legend="records of {{topic}} lost"),
            Query(expr=f"sum(increase({M.partitions_lost.name}[1h]))", legend="partitions lost"),
            Query(expr=f"sum(increase({M.machines_forgotten.name}[1h]))", legend="machines forgotten"),
            Query(expr=f"sum(increase({M.dead_letters_left_out.name}[1h]))", legend="dead letters left out"),
            Query(
                expr=f"sum(increase({M.poisoned_batches.name}[1h]))", legend="batches with a reading that rules fail on"
            ),
            Query(expr=f"sum({M.machines_misplaced.name})", legend="machines in another partition than murmur2 gives"),
            unit="short",
            why="Lost records were deleted by retention before they were read: read faster, or keep them longer.",
        )
    )
    return finished(board)
