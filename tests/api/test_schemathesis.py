"""Requests made out of the OpenAPI document, valid and broken: no 5xx, and no answer that it does not promise.

Bounded: so many examples of each operation, the same ones every time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.test_routes import ROUTES

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]
EXAMPLES = 12
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def schema(call: Call) -> Any:
    """The document as it is served, asked with the token of a person who may do everything."""
    from console.permissions import Role
    from console.wsgi import application

    token = call(*(role.value for role in Role)).client._credentials["HTTP_AUTHORIZATION"]
    return schemathesis.openapi.from_wsgi("/api/v1/schema", application, headers={"Authorization": token})


@pytest.mark.parametrize("route", sorted(set(ROUTES) - {"GET schema"}))
def test_the_api_keeps_what_the_document_promises(schema: Any, route: str) -> None:
    method, path = route.split(" ")
    headers = dict(schema.config.headers or {})

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=schema[f"/{path}"][method].as_strategy())
    def holds(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    holds()
