"""A client that knows nothing but the OpenAPI document does the whole flow: open, send, cut, look, ask the gate.

It stands for a generated one: operations by their id, parameters where the document puts them, bodies of the kinds that
it lists, and each body is held against its schema before it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from tests.flow.world import Flow
from tests.hostile.sent import JSON

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]
CLOUDEVENTS = JSON.replace('format = "json"', 'format = "cloudevents"')
CLOUDEVENTS = CLOUDEVENTS[: CLOUDEVENTS.index("[run]")] + CLOUDEVENTS[CLOUDEVENTS.index("[close]") :]


class Client:
    """Operations of the document, by id."""

    def __init__(self, caller: Caller, document: dict[str, Any]) -> None:
        self.caller, self.document = caller, document
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    def __call__(self, operation_id: str, body: Any = None, kind: str = "application/json", **values: Any) -> Any:
        method, path, operation = self.operations[operation_id]
        query: dict[str, Any] = {}
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            if name not in values:
                assert not parameter.get("required"), name
                continue
            self.holds(parameter["schema"], values[name])
            if parameter["in"] == "path":
                path = path.replace(f"{{{name}}}", quote(str(values[name]), safe=""))
            else:
                query[name] = values[name]
        raw = b"" if body is None else self.encoded(operation, kind, body)
        url = (
            self.document["servers"][0]["url"]
            + path
            + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
        )
        return self.caller.client.generic(method, url, raw, content_type=kind)

    def encoded(self, operation: dict[str, Any], kind: str, body: Any) -> bytes:
        said = operation["requestBody"]["content"][kind]
        self.holds(said["schema"], body)
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()

    def holds(self, schema: dict[str, Any], value: Any) -> None:
        Draft202012Validator(schema | {"components": self.document["components"]}).validate(value)


@pytest.fixture
def client(call: Call) -> Client:
    ana = call("operator", "data engineer")
    return Client(ana, ana.get("schema").json())


def open_a_run(client: Client, contract: str) -> str:
    flow = Flow(contract=contract)
    opened = client("open_run", {}, stream=flow.name, run="r1")
    assert opened.status_code == 201, opened.content
    return flow.name


def test_the_whole_flow(client: Client) -> None:
    stream = open_a_run(client, JSON)
    events = [{"type": "thing", "id": number} for number in range(3)]
    sent = [
        client("send_events", events, stream=stream),
        client("send_events", events[0], stream=stream),
        client(
            "send_events", "".join(json.dumps(each) + "\n" for each in events), "application/x-ndjson", stream=stream
        ),
    ]
    decisions = [[result["decision"] for result in answer.json()["results"]] for answer in sent]
    assert decisions == [["ADMITTED"] * 3, ["DUPLICATE"], ["DUPLICATE"] * 3]
    declared = client("declare_totals", {"totals": {"thing": 3}}, stream=stream, run="r1")
    assert declared.status_code == 200
    assert client("cut_run", {}, stream=stream, run="r1").json()["windows"][0]["state"] != "OPEN"
    assert client("get_checks", stream=stream, run="r1").json()["body"]
    assert client("ask_gate", stream=stream, run="r1").status_code == 403
    page = client("list_run_receipts", stream=stream, run="r1", limit=2).json()
    assert len(page["items"]) == 2
    assert page["next"]
    receipt = page["items"][0]
    assert client("get_receipt", source=receipt["source"], offset=receipt["offset"]).json() == receipt


def test_cloudevents_alone_and_in_a_batch(client: Client) -> None:
    stream = open_a_run(client, CLOUDEVENTS)
    event = {"specversion": "1.0", "id": "1", "source": "/ua", "type": "flight", "data": {"carrier": "UA"}}
    answer = client("send_events", event, "application/cloudevents+json", stream=stream)
    assert [result["decision"] for result in answer.json()["results"]] == ["ADMITTED"], answer.content
    batch = [event | {"id": str(number)} for number in (1, 2)]
    answer = client("send_events", batch, "application/cloudevents-batch+json", stream=stream)
    assert [result["decision"] for result in answer.json()["results"]] == ["DUPLICATE", "ADMITTED"]


def test_every_body_of_the_door_has_a_schema_a_bound_and_an_example_that_fits(client: Client) -> None:
    from console.api.events import PARSERS

    content = client.operations["send_events"][2]["requestBody"]["content"]
    assert set(content) == {parser.media_type for parser in PARSERS}
    for kind, said in content.items():
        assert said["examples"], kind
        for example in said["examples"].values():
            client.holds(said["schema"], example["value"])
        assert "max" in json.dumps(said["schema"]) or kind == "application/cloudevents+json"


def test_every_number_and_name_that_is_asked_for_has_bounds(client: Client) -> None:
    for name, (_, _, operation) in client.operations.items():
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            if schema["type"] == "integer":
                assert {"minimum", "maximum"} <= set(schema), (name, parameter["name"])
            if parameter["in"] == "path" and schema["type"] == "string":
                assert "maxLength" in schema, (name, parameter["name"])
