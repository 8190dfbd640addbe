"""A machine id is any text: as one encoded segment of a path it arrives as it is."""

from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from api.path_ids import SegmentedPath, register_ids
from tests.api.servers import Server

IDS = ("press-01", "line1/press-01", "a/readings", "100%", "%2F", "a b", "Kühler#1?", "..", "//", "a%2Fb/c")


@pytest.mark.parametrize("machine_id", IDS)
async def test_an_id_arrives_as_it_is(machine_id: str) -> None:
    register_ids()
    app = FastAPI()
    app.add_middleware(SegmentedPath)

    @app.get("/machines/{machine_id:id}")
    def machine(machine_id: str) -> list[str]:
        return ["machine", machine_id]

    @app.get("/machines/{machine_id:id}/readings")
    def readings(machine_id: str) -> list[str]:
        return ["readings", machine_id]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        encoded = quote(machine_id, safe="").replace(".", "%2E")
        assert (await client.get(f"/machines/{encoded}")).json() == ["machine", machine_id]
        assert (await client.get(f"/machines/{encoded}/readings")).json() == ["readings", machine_id]


@pytest.mark.parametrize("path", ["", "/readings", "/scores", "/energy"])
def test_a_machine_with_a_slash_is_looked_for_by_its_id(server: Server, path: str) -> None:
    answer = httpx.get(f"{server.url}/machines/line1%2Fpress-01{path}", timeout=10)

    assert "line1/press-01" in answer.text or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
