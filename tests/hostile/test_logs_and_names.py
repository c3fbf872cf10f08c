"""What reaches logs makes one line, escaped; names that would hurt are refused where names are given; no CSV."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest

from console.logs import formatter
from ingest.core.contract import parse_contract
from ingest.core.errors import ContractErrors, PassgateError
from tests.hostile.table import FORGED, MARKUP_TEXTS

ROOT = Path(__file__).parents[2]


def logged(text: str, *values: object, exception: BaseException | None = None) -> str:
    """What the console's handler writes for one call."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter())
    log = logging.Logger("hostile")
    log.addHandler(handler)
    log.warning(text, *values, exc_info=exception)
    return out.getvalue()


def error(text: str) -> BaseException:
    try:
        raise PassgateError(expected="something else", found=text, next_step=text)
    except PassgateError as raised:
        return raised


@pytest.mark.parametrize("text", [*FORGED, *MARKUP_TEXTS, "\x00", "\x7f", "\ud800"], ids=repr)
def test_one_record_is_one_line_of_escaped_json(text: str) -> None:
    """A key, a header, a topic, an actor, in the message, in its values and in what was raised."""
    for line in (
        logged(f"topic {text}"),
        logged("key %r of %s", text.encode("utf-8", "surrogatepass"), text),
        logged("actor %s", text),
        logged("raised", exception=error(text)),
    ):
        assert line.endswith("\n")
        assert line.count("\n") == 1
        assert re.fullmatch(r"[\x20-\x7e]+\n", line), "a terminal sees nothing but printable ASCII"
        assert json.loads(line)["level"] == "warning"
    assert json.loads(logged("%s", text))["event"] == text


@pytest.mark.parametrize("text", [*MARKUP_TEXTS, *FORGED, "a/b", "a b", "\u202ea", "a\u200b", ""], ids=repr)
@pytest.mark.parametrize("where", ["stream", "inbox", "bus"])
def test_names_are_refused(text: str, where: str) -> None:
    """Streams and topics are named in contracts, groups and transactional ids after streams."""
    names = {"stream": "s", "inbox": "s.inbox", "bus": "s.bus"} | {where: text}
    quoted = {key: json.dumps(name) for key, name in names.items()}
    contract = f"""
contract = 1
stream = {quoted["stream"]}
[inbox.kafka]
topic = {quoted["inbox"]}
format = "cloudevents"
[bus]
topic = {quoted["bus"]}
partitions = 1
"""
    with pytest.raises(ContractErrors) as raised:
        parse_contract(contract.encode("utf-8", "surrogatepass"), "c.toml", lambda name: b"")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b\u2028]", str(raised.value)), "shown as it is"


def test_no_csv() -> None:
    """There is no CSV export. Whoever adds one escapes what a spreadsheet would run, and tries it on the table."""
    code = [*(ROOT / "console").rglob("*.py"), *(ROOT / "stack").rglob("*.py"), *(ROOT / "templates").rglob("*.html")]
    assert not [
        file for file in code if re.search(r"text/csv|csv\.(writer|DictWriter)|attachment.*\.csv", file.read_text())
    ]
