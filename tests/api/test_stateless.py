import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from schemas.answers import AnomalyResponse, ForecastResponse, ModelsStatusResponse, RecommendationsResponse
from tests.api.servers import EXAMPLE, Server


def rows(count: int, *, seed: int = 1, **values: float) -> list[dict[str, float]]:
    """Rows of a press that runs as usual, with `values` in the place of some."""
    random = np.random.default_rng(seed)
    usual = {"power": (55.0, 1.0), "temperature": (58.0, 1.0), "vibration": (3.4, 0.1), "production": (320.0, 6.0)}
    return [
        {name: float(random.normal(*spread)) for name, spread in usual.items()} | {"runtime": 100.0} | values
        for _ in range(count)
    ]


def test_the_forecast_of_the_contract_has_its_shape(server: Server) -> None:
    data = [100 + 10 * np.sin(hour / 24 * 2 * np.pi) for hour in range(96)]
    answer = server.post("/forecast", json={"data": data, "horizon": 24, "frequency": "h"})
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"forecast", "lower_bound", "upper_bound", "model", "horizon"}
    assert body["horizon"] == 24
    assert [len(body[name]) for name in ("forecast", "lower_bound", "upper_bound")] == [24, 24, 24]
    assert body["forecast"] == pytest.approx(data[:24], abs=0.5)
    for lower, value, upper in zip(body["lower_bound"], body["forecast"], body["upper_bound"], strict=True):
        assert lower <= value <= upper
    ForecastResponse.model_validate(body)


def test_the_anomaly_example_of_the_contract_has_its_shape(server: Server) -> None:
    body = server.post("/anomaly", json={"data": [EXAMPLE]}).json()
    assert set(body) == {"results", "total"}
    assert body["total"] == 1
    (result,) = body["results"]
    assert result["is_anomaly"] is False
    assert 0 <= result["anomaly_score"] < 0.5
    assert result["model"] == "isolation_forest"
    AnomalyResponse.model_validate(body)


def test_the_recommendation_for_the_same_rows_has_its_shape(server: Server) -> None:
    body = server.post("/recommendations", json={"data": [EXAMPLE, EXAMPLE]}).json()
    assert 0 <= body["risk_level"] <= 3
    assert (body["urgent"], body["model"], body["total"]) == (False, "random_forest", 2)
    assert body["recommendation"].endswith(".")
    assert body["risk_level"] == body["results"][-1]["risk_level"]
    assert sum(reason["contribution"] for reason in body["reasons"]) == pytest.approx(1, abs=0.01)
    RecommendationsResponse.model_validate(body)


def test_what_no_machine_can_do_is_an_anomaly_and_says_which_sensor(server: Server) -> None:
    (result,) = server.post("/anomaly", json={"data": [EXAMPLE | {"temperature": 157}]}).json()["results"]
    assert (result["is_anomaly"], result["anomaly_score"]) == (True, 1.0)
    assert result["contributions"][0]["sensor"] == "temperature"


def test_a_machine_is_held_against_its_type(server: Server) -> None:
    usual = {"power": 55.0, "temperature": 58.0, "vibration": 3.4, "production": 322.0}
    odd = usual | {"production": 150.0}
    found = server.post("/anomaly", json={"data": [usual, odd], "machine_id": "press-77"}).json()["results"]
    assert [(one["is_anomaly"], one["baseline"]) for one in found] == [(False, "type"), (True, "type")]
    assert found[1]["contributions"][0]["sensor"] == "production"


def test_sixty_rows_are_held_against_themselves(server: Server) -> None:
    data = rows(200) + [row | {"vibration": 5.0} for row in rows(20, seed=2)]
    found = server.post("/anomaly", json={"data": data}).json()["results"]
    flagged = [one["is_anomaly"] for one in found]
    assert {one["baseline"] for one in found} == {"history"}
    assert sum(flagged[:200]) <= 6  # about 1 % each by forest and distance
    assert sum(flagged[200:]) == 20
    assert {one["contributions"][0]["sensor"] for one in found[200:]} == {"vibration"}


def test_a_broken_critical_limit_calls_for_maintenance_now(server: Server) -> None:
    body = server.post("/recommendations", json={"data": [EXAMPLE | {"vibration": 25}]}).json()
    assert (body["risk_level"], body["band"], body["urgent"]) == (3.0, "urgent", True)
    assert body["reasons"][0]["sentence"] == "vibration is 25 mm/s, beyond a critical limit"


def test_sensors_may_be_missing_or_null(server: Server) -> None:
    answer = server.post("/anomaly", json={"data": [{"power": 50}, {"power": None, "vibration": 2.0}]})
    assert (answer.status_code, answer.json()["total"]) == (200, 2)


def test_a_field_that_is_no_sensor_is_named_and_not_used(server: Server) -> None:
    body = server.post("/anomaly", json={"data": [EXAMPLE | {"temprature": 5}]}).json()
    assert body["warnings"] == ["not used, because the plant file has no such sensor: temprature"]


@pytest.mark.parametrize("frequency", ["15min", "D", "W", "MS", "B", "QS", "YS", "H", "7h", "W-MON", "30s"])
def test_any_pandas_frequency_will_do(server: Server, frequency: str) -> None:
    answer = server.post("/forecast", json={"data": [1, 2, 3, None, 5], "horizon": 1, "frequency": frequency})
    assert (answer.status_code, answer.json()["horizon"]) == (200, 1)


def test_ten_thousand_points_and_a_week_ahead_are_the_most(server: Server) -> None:
    data = [float(value % 24) for value in range(10_000)]
    answer = server.post("/forecast", json={"data": data, "horizon": 168})
    assert (answer.status_code, len(answer.json()["forecast"])) == (200, 168)
    assert server.post("/forecast", json={"data": [*data, 1.0], "horizon": 168}).status_code == 422


def test_prophet_answers_when_it_is_asked_for(server: Server) -> None:
    data = [100 + 10 * np.sin(hour / 24 * 2 * np.pi) for hour in range(24 * 7)]
    body = server.post("/forecast", json={"data": data, "horizon": 3, "model": "prophet"}).json()
    assert body["model"] == "prophet"
    assert body["forecast"] == pytest.approx(data[:3], abs=5)


def test_what_prophet_cannot_do_the_median_does_and_says_so(server: Server) -> None:
    body = server.post("/forecast", json={"data": [1, 2], "horizon": 1, "model": "prophet"}).json()
    assert body["model"] == "seasonal_median"
    assert body["warnings"][0].startswith("prophet could not be fitted")


def test_a_forecast_asked_for_twice_is_computed_once(server: Server) -> None:
    request = {"data": [5, 6, 7, 8.25], "horizon": 2}
    before = _metric(server, "nexova_api_forecasts_total", source="computed")
    answers = [server.post("/forecast", json=request).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert _metric(server, "nexova_api_forecasts_total", source="computed") == before + 1


def _metric(server: Server, name: str, **labels: str) -> float:
    return float(server.app.state.services.registry.get_sample_value(name, labels) or 0)


BAD_ROWS = [
    ({"data": []}, "/data"),
    ({"data": [{}]}, "/data/0"),
    ({"data": [{"power": "hot"}]}, "/data/0/power"),
    ({"data": [{"power": "100"}]}, "/data/0/power"),
    ({"data": [{"power": True}]}, "/data/0/power"),
    ({"data": "rows"}, "/data"),
    ({"data": {"power": 1}}, "/data"),
    ({"rows": [EXAMPLE]}, "/data"),
    ({"data": [EXAMPLE], "machine_id": ""}, "/machine_id"),
    ({"data": [EXAMPLE] * 10_001}, "/data"),
]


@pytest.mark.parametrize("path", ["/anomaly", "/recommendations"])
@pytest.mark.parametrize(("body", "pointer"), BAD_ROWS)
def test_bad_rows_are_refused_with_their_place(server: Server, path: str, body: object, pointer: str) -> None:
    _assert_problem(server.post(path, json=body), 422, pointer)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("path", ["/anomaly", "/recommendations"])
def test_what_is_no_finite_number_is_refused(server: Server, path: str, number: str) -> None:
    text = f'{{"data": [{{"power": {number}}}]}}'
    answer = server.post(path, content=text, headers={"Content-Type": "application/json"})
    _assert_problem(answer, 422, "/data/0/power")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon": 0}, "/horizon: 0: "),
        ({"horizon": 10**9}, "/horizon: 1000000000: "),
        ({"horizon": 1.5}, "/horizon"),
        ({"frequency": "banana"}, "frequency = 'banana': is no pandas frequency"),
        ({"frequency": "-1h"}, "frequency = '-1h'"),
        ({"data": []}, "/data"),
        ({"data": [None]}, "data has no value"),
        ({"data": ["a"]}, "/data/0"),
        ({"model": "oracle"}, "/model: 'oracle'"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused_in_one_sentence(
    server: Server, change: dict[str, object], words: str
) -> None:
    _assert_problem(server.post("/forecast", json={"data": [1, 2, 3], "horizon": 2} | change), 422, words)


def test_a_body_that_is_no_json_is_refused(server: Server) -> None:
    answer = server.post("/anomaly", content="{oh", headers={"Content-Type": "application/json"})
    _assert_problem(answer, 422, "is no JSON")


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_refused(server: Server, chunked: bool) -> None:  # noqa: FBT001
    body = b'{"data": [' + b" " * 10_000_000 + b"]}"
    parts = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    with httpx.Client(base_url=server.url, timeout=30) as client:
        answer = client.post(
            "/anomaly",
            content=iter(parts) if chunked else body,
            headers={"Content-Type": "application/json"},
        )
    _assert_problem(answer, 413, "5242880")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"data": [{"power": ' + b"9" * 5_000 + b"}]}", b'{"data": [{"power": 1}], "x": "\xff"}'],
    ids=["nested", "digits", "latin-1"],
)
def test_a_body_that_cannot_be_read_is_refused(server: Server, body: bytes) -> None:
    answer = server.post("/anomaly", content=body, headers={"Content-Type": "application/json"})
    _assert_problem(answer, 400, "the body cannot be read")


def test_an_empty_body_is_named(server: Server) -> None:
    answer = server.post("/anomaly", headers={"Content-Type": "application/json"})
    _assert_problem(answer, 422, "body: is empty, and JSON is needed")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_what_does_not_say_that_it_is_json_is_415_with_the_remedy(server: Server, kind: str | None) -> None:
    """The second is what curl says by itself; any of them a form of another site could send."""
    headers = {} if kind is None else {"Content-Type": kind}
    answer = server.post("/anomaly", content=json.dumps({"data": [EXAMPLE]}), headers=headers)
    _assert_problem(answer, 415, "send it with Content-Type: application/json")


def test_an_unknown_path_and_a_wrong_method_are_problems_too(server: Server) -> None:
    _assert_problem(server.get("/nothing"), 404, "/nothing is not here")
    answer = server.get("/anomaly")
    _assert_problem(answer, 405, "GET is not for /anomaly; use POST")
    assert answer.headers["allow"] == "POST"


def test_a_failure_of_ours_is_a_problem_that_tells_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> dict[str, int]:
        raise RuntimeError("what only the log may know")

    monkeypatch.setattr(server.app.state.services.live, "measure", fails)
    answer = server.get("/metrics")
    _assert_problem(answer, 500, "its log says where")
    assert "only the log" not in answer.text
    assert "what only the log may know" in caplog.text


@pytest.mark.parametrize("path", ["/", "/health", "/docs"])
def test_who_asks_for_the_head_alone_gets_the_head_alone(server: Server, path: str) -> None:
    answer = server.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_request_that_takes_too_long_is_given_up(serve: Callable[..., Server]) -> None:
    server = serve(api={"request_seconds": 0.001})
    data = [float(value % 24) for value in range(10_000)]
    _assert_problem(server.post("/forecast", json={"data": data, "horizon": 168}), 503, "not done within 0.001 s")


def _assert_problem(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert words in body["detail"]
    assert "\n" not in body["detail"]
    assert body["type"].startswith("urn:nexova:problem:")


def test_health_names_what_answers_and_stays_200_without_kafka(server: Server) -> None:
    answer = server.get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert body["models"] == {"anomaly": "isolation_forest", "recommendations": "random_forest", "forecast": "auto"}


def test_models_status_tells_what_the_manifests_say(server: Server) -> None:
    body = server.get("/models/status").json()
    ModelsStatusResponse.model_validate(body)
    found = {model["name"]: model for model in body["models"]}
    assert found["anomaly"]["loaded"] is True
    assert found["anomaly"]["rows_used"] > 1000
    assert found["maintenance"]["answers_with"] == "random_forest"
    assert body["problems"] == []


def test_without_models_a_fallback_answers_and_says_so(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(model_path=str(tmp_path / "none"))
    body = server.post("/anomaly", json={"data": [EXAMPLE, EXAMPLE | {"temperature": 110}]}).json()
    assert [(one["model"], one["is_anomaly"]) for one in body["results"]] == [("fallback", False), ("fallback", True)]
    assert "nexova train anomaly makes one" in body["warnings"][0]
    assert server.get("/health").json()["status"] == "degraded"


def test_a_damaged_model_is_a_fallback_with_a_warning(
    serve: Callable[..., Server], model_dir: Path, tmp_path: Path
) -> None:
    for source in model_dir.rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(model_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    (graph,) = tmp_path.glob("anomaly/*/model.onnx")
    graph.write_bytes(graph.read_bytes()[:1000])
    server = serve(model_path=str(tmp_path))
    body = server.post("/anomaly", json={"data": [EXAMPLE]}).json()
    assert body["results"][0]["model"] == "fallback"
    assert "was cut or changed" in body["warnings"][0]
    assert server.post("/recommendations", json={"data": [EXAMPLE]}).json()["model"] == "random_forest"


def test_the_documents_work_offline(server: Server) -> None:
    for page in ("/docs", "/redoc"):
        answer = server.get(page)
        assert answer.status_code == 200
        assert "http" not in answer.text.replace("http-equiv", "")
        for link in answer.text.split('"'):
            if link.startswith("/assets/"):
                assert server.get(link).status_code == 200, link
    assert "script-src 'self';" in server.get("/docs").headers["content-security-policy"]


def test_the_openapi_document_has_the_examples_of_the_contract(server: Server) -> None:
    text = json.dumps(server.get("/openapi.json").json())
    assert '"vibration": 2' in text
    assert '"horizon": 24' in text
    assert "ProblemDetails" in text
