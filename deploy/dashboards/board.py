"""What all dashboards share: links to each other, the times they show, and ids that stay."""

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard


def new_board(title: str, *, uid: str, text: str) -> dashboards.Dashboard:
    """Return a dashboard without panels, with links to those of the same tag."""
    return (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags(["nexova"])
        .link(dashboards.DashboardLink("Nexova").type(dashboard.DashboardLinkType.DASHBOARDS).tags(["nexova"]))
        .timezone("browser")
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )


def finished(board: dashboards.Dashboard) -> dashboard.Dashboard:
    """Return the dashboard with an id for each panel: links hold it, so it must not be left to Grafana."""
    built = board.build()
    for position, panel in enumerate(built.panels or (), start=1):
        panel.id_val = position
    return built
