"""The table at both doors: a receipt, a reason, the bytes kept, the position moved, and pages that show it and hold."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import msgspec
import pytest
from django.test import Client

from ingest.core.reason import Decision, Flag
from tests.api.caller import Caller, caller, person
from tests.hostile.sent import Door, Place, fate, history
from tests.hostile.table import BODIES, CASES, LIES, NOT_INPUT, ROWS, Case, Fate

pytestmark = pytest.mark.timeout(600)  # the first test sends everything

KAFKA = [case for case in CASES if isinstance(case.kafka, Fate)]
HTTP = [case for case in CASES if isinstance(case.door, Fate)]
SIZE = {"cases": 261, "kafka": 261, "http": 216, "bodies": 24, "lies": 14}

# What may not stand in a page as it is: controls, and characters that turn, hide or imitate others.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_ACTIVE = re.compile(
    r"<script>alert|<img src=x|<svg/onload|<a hx-get=|hx-get=\"/evil|href=\"?javascript:|' onmouseover='a", re.I
)


_TYPED = re.compile(r'<input [^>]*name="q"[^>]*>')


def test_the_table_covers_the_paper_and_has_its_size() -> None:
    found = {"cases": len(CASES), "kafka": len(KAFKA), "http": len(HTTP), "bodies": len(BODIES), "lies": len(LIES)}
    assert found == SIZE
    assert len(ROWS) == 18
    assert {case.row for case in CASES} | {body.row for body in BODIES} | {"broker-lies"} == set(ROWS)
    assert {row for row, _ in NOT_INPUT} <= set(ROWS)
    for ids in ([case.id for case in CASES], [body.id for body in BODIES]):
        assert len(set(ids)) == len(ids)
    for case in CASES:
        assert isinstance(case.kafka, Fate) or case.kafka
        assert isinstance(case.door, Fate) or case.door


@pytest.fixture(scope="module")
def people(sent: dict[str, Door], django_db_blocker: Any) -> tuple[Client, Caller]:
    with django_db_blocker.unblock():
        browser = Client()
        browser.force_login(person("operator"))
        return browser, caller("operator")


PAIRS = [("kafka", case) for case in KAFKA] + [("http", case) for case in HTTP]


@pytest.mark.parametrize(("name", "case"), PAIRS, ids=[f"{name}-{case.id}" for name, case in PAIRS])
def test_a_case(live: object, sent: dict[str, Door], people: tuple[Client, Caller], name: str, case: Case) -> None:
    door = sent[name]
    flow, place = door.flow(case), door.places[case.id]
    assert fate(flow, place) == expected(name, case)
    assert fate(flow, Place(place.source, place.good, 0)).decision is Decision.ADMITTED
    _bytes_are_kept(flow, place, case, name)
    _pages_hold(people[0], flow, place, case)
    _documents_hold(people[1], flow, place, case)


def expected(door: str, case: Case) -> Fate:
    """An event of the HTTP door has no key, and its receipt says so."""
    found = case.kafka if door == "kafka" else case.door
    assert isinstance(found, Fate)
    return found._replace(flags=found.flags | (Flag.NO_KEY if door == "http" else 0))


def _kept(flow: Any, place: Place) -> Any:
    """The row that holds the bytes, if one does."""
    keys = {"s": place.source, "o": place.offset}
    items = flow.rows('SELECT * FROM quarantine_item WHERE source_id = %(s)s AND "offset" = %(o)s', **keys)
    events = flow.rows('SELECT *, payload AS value FROM event WHERE source_id = %(s)s AND "offset" = %(o)s', **keys)
    return (items or events or [None])[0]


def _bytes_are_kept(flow: Any, place: Place, case: Case, name: str) -> None:
    keys = {"s": place.source, "o": place.offset}
    (receipt,) = flow.rows('SELECT * FROM receipt WHERE source_id = %(s)s AND "offset" = %(o)s', **keys)
    assert bytes(receipt.payload_digest) == hashlib.sha256(case.value or b"").digest()
    kept = _kept(flow, place)
    if receipt.decision == Decision.DUPLICATE:
        assert kept is None
        return
    assert kept.value == case.value
    if name == "kafka":
        assert kept.key == case.key
        assert _headers(kept.headers) == _sent_headers(case)


def _headers(packed: bytes | None) -> list[tuple[str, bytes | None]]:
    return msgspec.msgpack.decode(packed, type=list[tuple[str, bytes | None]]) if packed else []


def _sent_headers(case: Case) -> list[tuple[str, bytes | None]]:
    if case.kept_headers is not None:
        return case.kept_headers
    envelope = [("content-type", case.kind.encode())] if case.cloudevents else []
    return [*envelope, *((name.decode(), raw) for name, raw in case.headers)]


# ---- what shows it


def _pages_hold(browser: Client, flow: Any, place: Place, case: Case) -> None:
    _page(browser, f"/receipts/{place.source}/{place.offset}")
    items = flow.rows(
        'SELECT id FROM quarantine_item WHERE source_id = %(s)s AND "offset" = %(o)s', s=place.source, o=place.offset
    )
    for item in items:
        _page(browser, f"/quarantine/{item.id}")
        raw = browser.get(f"/quarantine/{item.id}/raw")
        if case.value is None:
            assert raw.status_code == 404
            continue
        assert raw.status_code == 200
        assert raw.content == case.value
        assert raw["Content-Type"] == "application/octet-stream"
        assert raw["X-Content-Type-Options"] == "nosniff"
        assert raw["Content-Disposition"] == f'attachment; filename="quarantine-{item.id}.bin"'


def _page(browser: Client, url: str, **query: Any) -> str:
    answer = browser.get(url, query, follow=True)
    assert answer.status_code == 200, f"{url}: {answer.status_code}"
    # What a person typed stands in the field they typed it in as it is, or it would not be what they typed.
    text = _TYPED.sub("", answer.content.decode())
    assert not (found := _HIDDEN.search(text)), f"{url} shows {found[0]!r} as it is"
    assert not (found := _ACTIVE.search(text)), f"{url} holds {found[0]!r}"
    assert len(text) < 2_000_000, f"{url} is {len(text):,} characters"
    return text


def _documents_hold(api: Caller, flow: Any, place: Place, case: Case) -> None:
    receipt = api.get(f"receipts/{place.source}/{place.offset}")
    assert receipt.status_code == 200
    for item in flow.rows(
        'SELECT id FROM quarantine_item WHERE source_id = %(s)s AND "offset" = %(o)s', s=place.source, o=place.offset
    ):
        answer = api.get(f"quarantine/{item.id}")
        assert answer.status_code == 200
        said = answer.json()["payload"]["value"]
        assert (base64.b64decode(said) if said is not None else None) == case.value


@pytest.mark.parametrize("name", ["kafka", "http"])
@pytest.mark.parametrize("kind", ["json", "cloud"])
def test_lists_hold_with_all_of_it(
    live: object, sent: dict[str, Door], people: tuple[Client, Caller], name: str, kind: str
) -> None:
    browser, api = people
    flow = getattr(sent[name], kind)
    _walk(browser, f"/runs/{flow.name}/r1/receipts")
    _walk(browser, "/quarantine/", by="item", run=f"{flow.name}/r1")
    _walk(browser, "/quarantine/", run=f"{flow.name}/r1")
    for page in ("", "sources", "gate"):
        _page(browser, f"/runs/{flow.name}/r1/{page}")
    assert len(api.pages(f"streams/{flow.name}/runs/r1/receipts/")) == len(flow.receipts("r1"))
    items = flow.rows(
        "SELECT count(*) AS n FROM quarantine_item q JOIN run r ON r.id = q.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    assert len(api.pages(f"quarantine/?stream={flow.name}&run=r1")) == items[0].n


def _walk(browser: Client, url: str, **query: Any) -> None:
    """Every page of a list."""
    text = _page(browser, url, **query)
    for _ in range(40):
        following = re.search(r'href="([^"]*[?&;]after=[^"]*)"', text)
        if following is None:
            return
        text = _page(browser, following[1].replace("&amp;", "&"))
    raise AssertionError(f"{url} does not end")


@pytest.mark.parametrize("row", ["identity-tricks", "markup", "log-forging", "formulas", "sizes"])
def test_finding_by_hostile_ids(live: object, sent: dict[str, Door], people: tuple[Client, Caller], row: str) -> None:
    browser, _ = people
    flow = sent["kafka"].json
    for case in (case for case in KAFKA if case.row == row and not case.cloudevents):
        kept = _kept(flow, sent["kafka"].places[case.id])
        for q in (kept.event_id if kept is not None else None, (case.value or b"")[:500].decode(errors="replace")):
            if q:
                _page(browser, "/find", q=q)
                _page(browser, f"/runs/{flow.name}/r1/receipts", q=f"id:{q}")


@pytest.mark.parametrize("name", ["kafka", "http"])
def test_nothing_earlier_changes_and_everything_is_counted(live: object, sent: dict[str, Door], name: str) -> None:
    door = sent[name]
    assert history(door.json) == door.history
    for flow in (door.json, door.cloud):
        flow.check()
        assert flow.count("effect") == flow.count("event") == flow.decisions().count("ADMITTED")


@pytest.mark.parametrize("name", ["kafka", "http"])
def test_the_window_of_all_that_is_judged_and_only_quarantine_blocks_it(
    live: object, sent: dict[str, Door], people: tuple[Client, Caller], name: str
) -> None:
    flow = sent[name].json
    flow.cut("r1")
    flow.work()
    stored = flow.judge("r1")
    assert str(stored.verdict.state) == "BLOCKED"
    broken = {str(check.name) for check in stored.verdict.checks if str(check.state) != "HOLDS"}
    assert broken == {"QUARANTINE"}, stored.sentence
    _page(people[0], f"/runs/{flow.name}/r1/")
    _page(people[0], f"/runs/{flow.name}/r1/verdicts/1")
