"""The OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def served(call: Call) -> dict[str, Any]:
    answer = call("viewer").get("schema")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_openapi_3_1_and_lists_every_route(call: Call) -> None:
    from tests.api.test_routes import ROUTES

    found = served(call)
    assert found["openapi"].startswith("3.1")
    assert found["servers"] == [{"url": "/api/v1"}]
    listed = {f"{method.upper()} {path.lstrip('/')}" for path, methods in found["paths"].items() for method in methods}
    assert listed == set(ROUTES) - {"GET schema"}


def test_every_operation_says_what_it_does_and_how_it_fails(call: Call) -> None:
    for path, methods in served(call)["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            assert {"400", "401", "403", "503"} <= set(operation["responses"]), (method, path)
            for status, answer in operation["responses"].items():
                assert (int(status) < 400) == ("application/json" in answer["content"]), (method, path, status)
            if method == "post":
                assert "Idempotency-Key" in {p["name"] for p in operation["parameters"]}, path


def test_names_are_ours(call: Call) -> None:
    """A collision of enumerations gets a name made of a digest, which no client should see."""
    for name in served(call)["components"]["schemas"]:
        assert not re.search(r"[0-9A-F]{3}Enum", name), name


def test_every_reference_leads_somewhere(call: Call) -> None:
    found = served(call)
    names = set(re.findall(r"#/components/schemas/(\w+)", str(found)))
    assert names == set(found["components"]["schemas"])
