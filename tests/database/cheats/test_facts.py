"""Facts of the ledger: whoever writes one that is not so is refused, or found. Each check of fsck finds what it is for."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from typing import Any

import pytest

from audit import fsck as checks
from audit.fsck import NAMES, examine, reread
from ingest.core.ledger_rows import packed_headers
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.database.cheats.test_covers import COVER
from tests.database.cheats.test_decide import STOLEN as DECIDED
from tests.database.cheats.test_given import STOLEN as STOLEN_GIVEN
from tests.database.cheats.test_gone import PASSED_OVER
from tests.database.cheats.test_plans import STOLEN
from tests.database.cheats.test_reruns import RERUN

Values = dict[str, Any]

D = "decode(repeat('ab', 32), 'hex')"
ONE = '(SELECT identity FROM event WHERE run_id = %(run)s ORDER BY "offset" LIMIT 1)'
FIRST = 'source_id = %(inbox)s AND "offset" = 0'
A_PLACE = "bus_source_id = %(bus)s AND bus_offset = (SELECT min(bus_offset) FROM place WHERE bus_source_id = %(bus)s)"
AN_EFFECT = "run_id = %(run)s AND bus_source_id = %(bus)s AND bus_offset = (SELECT min(bus_offset) FROM place WHERE bus_source_id = %(bus)s)"
MORE_BATCH = (
    "INSERT INTO batch (source_id, win, run_id, contract_id, from_offset, to_offset, records, admitted, duplicates, quarantined, bytes, digest, fence, owner)"
    " SELECT source_id, win, run_id, contract_id, 900, 901, 0, 0, 0, 0, 0, digest, {}, {} FROM batch WHERE win = %(win)s ORDER BY id LIMIT 1"
)
A_SAMPLE = "INSERT INTO sample (source_id, log_start, lso, hw, kafka_committed, committed_state) VALUES (%(inbox)s, {}, {}, {}, {}, 'COMMITTED')"
A_DECISION = "INSERT INTO gate_decision (who, stream, run, status, code, verdict, at) VALUES ('eve', %(name)s, 'r1', 200, 'open', {}, {})"
A_ROW = "INSERT INTO audit_log (id, at, actor, act, subject, reason, detail, previous, digest) SELECT {}, now(), 'eve', 'run.open', 'x', '', '{{}}', digest, {} FROM audit_head"
A_GAP = "INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, state, fence, proof, proven_at) VALUES (%({})s, {}, {}, 'read_committed', 'AT_END', 'PROVEN', 1, '{{\"read_to\": 99}}', now())"
A_GENERATION = "INSERT INTO basis (win, generation, snapshot_id, facts, digest, why) SELECT win, {}, snapshot_id, {}, digest, why FROM basis WHERE win = %(win)s"
OTHER_TOPIC = "jsonb_set(facts, '{broker,bus,topic_id}', '\"other\"')"
LESS = "jsonb_set(facts, '{broker,bus,posture,retention.ms}', '\"1\"')"
LAST_ROW = "(SELECT last_id FROM audit_head)"


def app(name: str, does: str, found: str = "", refused: str = "", of_all: bool = False) -> Cheat:
    return Cheat(name, does, refused, found, of_all=of_all)


def thief(name: str, does: str, found: str, of_all: bool = False) -> Cheat:
    return Cheat(name, does, found=found, by=SUPERUSER, of_all=of_all)


ATTRIBUTES = (packed_headers([("ce_id", b"1")]) or b"").hex()

CHEATS = [
    # gaps
    app("a gap is born PROVEN", A_GAP.format("inbox", 0, 1), refused="gap_starts_claimed"),
    app("a gap is claimed under a fence that nobody holds", "INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, fence) VALUES (%(inbox)s, 0, 1, 'read_committed', 'AT_END', 99)", refused="gap_claimed_by_its_lane"),
    app("a gap is claimed where no lane has been", "INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, fence) SELECT source_id, 900, 901, 'read_committed', 'AT_END', fence FROM position WHERE lane = 'admission' AND source_id = %(inbox)s", refused="gap_claimed_by_its_lane"),
    app("a proven gap is proven again", "UPDATE gap SET proof = '{\"read_to\": 99}' WHERE source_id = %(inbox)s", refused="gap_transition"),
    thief("a proof says nothing", "UPDATE gap SET proof = '{}' WHERE source_id = %(inbox)s", "gaps_proven"),
    thief("who claimed it proved it", "UPDATE gap SET claimed_backend = proven_backend WHERE source_id = %(inbox)s", "gaps_proven"),
    thief("a PROVEN gap lies over a record", A_GAP.format("inbox", 0, 1), "gaps_again"),
    thief("and its receipt is gone", f"{A_GAP.format('inbox', 0, 1)}; DELETE FROM receipt WHERE {FIRST}", "gaps_again"),
    thief("and a PASS counts it", f"DELETE FROM receipt WHERE {FIRST}", "passes"),
    thief("a gap lies over a record of the bus", f"INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, fence) SELECT bus_source_id, bus_offset, bus_offset + 1, 'read_committed', 'AT_END', 1 FROM place WHERE {A_PLACE}", "bus_gaps_again"),
    # an older copy
    thief("the ledger is of before the newest sample", "DELETE FROM sample", "newest"),
    # receipts
    app("a receipt is changed", f"UPDATE receipt SET decision = 2 WHERE {FIRST}", refused="InsufficientPrivilege"),
    app("a receipt lies in a gap", f'INSERT INTO receipt (source_id, "offset", batch_id, decision, reason, flags, payload_digest) SELECT source_id, %(gap)s, batch_id, 3, 1, 0, {D} FROM receipt WHERE source_id = %(inbox)s AND "offset" = %(gap)s - 1', "records_have_receipts"),
    app("a receipt of no batch", f'INSERT INTO receipt (source_id, "offset", batch_id, decision, reason, flags, payload_digest) VALUES (%(inbox)s, 900, -1, 3, 1, 0, {D})', "refs"),
    thief("a record has no receipt", f"DELETE FROM receipt WHERE {FIRST}", "records_have_receipts"),
    thief("a receipt names another identity", f"UPDATE receipt SET identity = sha256(identity) WHERE {FIRST}", "records_understood"),
    thief("a receipt has another digest", f"UPDATE receipt SET payload_digest = sha256(payload_digest) WHERE {FIRST}", "records_understood"),
    thief("a receipt gives another reason", 'UPDATE receipt SET reason = 2 WHERE source_id = %(inbox)s AND "offset" = 4', "records_understood"),
    thief("an ADMITTED receipt has no event", f"DELETE FROM event WHERE run_id = %(run)s AND {FIRST}", "receipts_have_rows"),
    thief("a QUARANTINED receipt has no item", 'DELETE FROM quarantine_item WHERE source_id = %(inbox)s AND "offset" = 4', "receipts_have_rows"),
    thief("an item has no receipt", 'UPDATE quarantine_item SET "offset" = 5 WHERE source_id = %(inbox)s AND "offset" = 4', "receipts_have_rows"),
    thief("a receipt is rewritten", f"UPDATE receipt SET reason = reason + 1 WHERE {FIRST}", "roots"),
    thief("a batch counts otherwise than its receipts", "UPDATE batch SET admitted = admitted - 1, duplicates = duplicates + 1 WHERE win = %(win)s AND admitted > 0", "sums"),
    # events
    app("an event that nobody sent", f'INSERT INTO event (run_id, identity, win, class_id, source_id, "offset", batch_id, payload_digest, event_id) SELECT run_id, {D}, win, class_id, source_id, "offset", batch_id, payload_digest, event_id FROM event WHERE run_id = %(run)s LIMIT 1', "refs"),
    thief("another payload", f"UPDATE event SET payload = payload || ' '::bytea WHERE run_id = %(run)s AND {FIRST}", "events"),
    thief("another payload, and its digest", f"UPDATE event SET payload = payload || ' '::bytea, payload_digest = sha256(payload || ' '::bytea) WHERE run_id = %(run)s AND {FIRST}", "events_on_the_bus"),
    thief("another id", f"UPDATE event SET event_id = '[7]' WHERE run_id = %(run)s AND {FIRST}", "events"),
    thief("another identity", f"UPDATE event SET identity = sha256(identity) WHERE run_id = %(run)s AND {FIRST}", "events"),
    thief("filed under no class", f"UPDATE event SET class_id = 0 WHERE run_id = %(run)s AND {FIRST}", "events"),
    thief("another key", f"UPDATE event SET key = 'other' WHERE run_id = %(run)s AND {FIRST}", "records_kept"),
    thief("other headers", f"UPDATE event SET headers = NULL WHERE run_id = %(run)s AND {FIRST}", "records_kept"),
    thief("another key than the bus has", f"UPDATE event SET key = 'other' WHERE run_id = %(run)s AND identity = (SELECT identity FROM effect WHERE {AN_EFFECT})", "events_on_the_bus"),
    thief("an item with another key", 'UPDATE quarantine_item SET key = \'other\' WHERE source_id = %(inbox)s AND "offset" = 4', "records_kept"),
    thief("an item with other bytes", 'UPDATE quarantine_item SET value = value || \'x\'::bytea WHERE source_id = %(inbox)s AND "offset" = 4', "kept_payloads"),
    thief("an item with other attributes", f"UPDATE quarantine_item SET headers = '\\x{ATTRIBUTES}', payload_digest = sha256('other') WHERE source_id = %(inbox)s AND \"offset\" = 4", "kept_attributes"),
    thief("the first payload is elsewhere", 'UPDATE event SET "offset" = "offset" + 100 WHERE run_id = %(run)s AND source_id = %(inbox)s AND "offset" = 1', "first_payloads"),
    # the bus: attempts, places, effects
    app("an effect that nobody read", f"INSERT INTO effect (run_id, identity, win, bus_source_id, bus_offset, bus_batch_id) SELECT run_id, {D}, win, bus_source_id, bus_offset, bus_batch_id FROM effect WHERE {AN_EFFECT}", "effects_are_events"),
    app("a place without an attempt that sent it", 'INSERT INTO place (source_id, "offset", attempt_id, bus_source_id, bus_offset) SELECT %(inbox)s, 2, min(attempt_id), %(bus)s, 900 FROM place WHERE bus_source_id = %(bus)s', "places_in_attempts"),
    thief("an ACKED attempt lacks a place", f"DELETE FROM place WHERE {A_PLACE}", "places_of_acked"),
    thief("two events have one place", "UPDATE place SET bus_offset = 0 WHERE bus_source_id IN (SELECT bus_source_id FROM effect WHERE run_id = %(run)s); UPDATE place SET bus_source_id = %(bus)s WHERE bus_source_id IN (SELECT bus_source_id FROM effect WHERE run_id = %(run)s)", "places_apart"),
    thief("a place is moved", f"UPDATE place SET bus_offset = bus_offset + 1 WHERE {A_PLACE}", "places_on_the_bus"),
    thief("an identity has two effects", f"ALTER TABLE effect DROP CONSTRAINT effect_identity_unique; INSERT INTO effect SELECT * FROM effect WHERE {AN_EFFECT}", "effects_unique"),
    thief("an effect is gone", f"DELETE FROM effect WHERE {AN_EFFECT}", "consumed_are_effects"),
    thief("an effect is moved", f"UPDATE effect SET bus_offset = bus_offset + 1 WHERE {AN_EFFECT}", "effects_at_places"),
    thief("an effect lies where no record is", f"UPDATE effect SET bus_offset = bus_offset + 1 WHERE {AN_EFFECT}", "effects_on_the_bus"),
    thief("an effect whose event has no place", f"DELETE FROM place WHERE {A_PLACE}", "effects_at_places"),
    thief("a bus batch counts otherwise than its effects", "UPDATE bus_batch SET applied = applied + 1, records = records + 1 WHERE source_id = %(bus)s", "sums_of_bus"),
    thief("a bus batch read more copies than it tells of", "UPDATE bus_batch SET duplicates = duplicates + 1, records = records + 1 WHERE source_id = %(bus)s", "sums_of_bus"),
    app("copies that no batch read", "INSERT INTO bus_copies (bus_batch_id, win, copies, first_offset) SELECT max(id), %(win)s, 7, 0 FROM bus_batch WHERE source_id = %(bus)s", refused="bus_copies_told"),
    app("a bus batch keeps its copies to itself", "INSERT INTO bus_batch (source_id, from_offset, to_offset, records, applied, duplicates, foreign_records, mismatching, gaps, fence, owner) VALUES (%(bus)s, 900, 901, 1, 0, 1, 0, 0, 0, 1, 'eve')", refused="bus_copies_told"),
    thief("an attempt counts otherwise than its batches", "UPDATE attempt SET events = events + 1 WHERE source_id = %(inbox)s", "sums_of_attempts"),
    thief("an event has two places that count", f"INSERT INTO attempt (source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events, bytes, state) SELECT source_id, 'x', fence, owner, install_id, cluster_id, topic_id, topic, events, bytes, 'ACKED' FROM attempt WHERE source_id = %(inbox)s LIMIT 1; INSERT INTO place SELECT source_id, \"offset\", (SELECT max(id) FROM attempt), bus_source_id, bus_offset + 500 FROM place WHERE {A_PLACE}", "places_once"),
    thief("an attempt is LOST by nobody's word", "UPDATE attempt SET state = 'LOST' WHERE source_id = %(inbox)s", "losses"),
    thief("an effect is written again by nobody's word", "INSERT INTO mended_effect (source_id, \"offset\", run_id, win, identity, effect) SELECT source_id, \"offset\", run_id, win, identity, true FROM event WHERE source_id = %(inbox)s AND \"offset\" = 0", "mended"),
    thief("an UNKNOWN was settled without a scan", "UPDATE attempt SET unknown_at = prepared_at WHERE source_id = %(inbox)s", "fence_evidence"),
    thief("what is on the bus was proven ABSENT", "UPDATE attempt SET state = 'ABSENT' WHERE source_id = %(inbox)s", "absent_on_the_bus"),
    app("somebody says the bus contradicts", "INSERT INTO contradiction (win, attempt_id, kind, source_id, \"offset\", detail) SELECT %(win)s, min(id), 'ABSENT_APPEARED', %(bus)s, 0, 'eve' FROM attempt WHERE source_id = %(inbox)s", "contradictions"),
    thief("two owners under one fence", MORE_BATCH.format("fence", "'another'"), "owners"),
    thief("an older fence behind a newer one", MORE_BATCH.format("fence - 1", "owner"), "fences"),
    # positions, ranges, samples
    app("a position goes back", "UPDATE position SET next_offset = 0 WHERE lane = 'admission' AND source_id = %(inbox)s", refused="position_never_back"),
    app("a position goes on alone", "UPDATE position SET next_offset = next_offset + 7 WHERE lane = 'effects' AND source_id = %(bus)s", refused="position_move_explained"),
    thief("a position that nothing explains", "UPDATE position SET next_offset = next_offset + 7 WHERE lane = 'admission' AND source_id = %(inbox)s", "positions_explained"),
    thief("a position behind its batches", "UPDATE position SET next_offset = next_offset - 1 WHERE lane = 'admission' AND source_id = %(inbox)s", "batches_beyond"),
    thief("a position behind Kafka's commit", "UPDATE position SET next_offset = 1 WHERE lane = 'admission' AND source_id = %(inbox)s", "kafka_commits"),
    thief("a position beyond the log's end", "UPDATE position SET next_offset = 9000 WHERE lane = 'admission' AND source_id = %(inbox)s", "kafka_ends"),
    thief("a hole between two windows", "UPDATE window_range SET start_offset = start_offset + 1 WHERE source_id = %(inbox)s AND win > %(win)s", "ranges_chain"),
    app("a sample has Kafka's commit ahead", A_SAMPLE.format(0, 8, 8, 9000), "samples"),
    app("a sample that cannot be", A_SAMPLE.format(0, 9, 8, 0), "samples_possible"),
    app("a sample of the future", "INSERT INTO sample (source_id, at) VALUES (%(inbox)s, now() + interval '1 h')", "samples_possible"),
    app("a sample of a longer log", A_SAMPLE.format(0, 9000, 9000, 0), "kafka_samples"),
    app("a sample is changed", "UPDATE sample SET lso = 0 WHERE source_id = %(inbox)s", refused="InsufficientPrivilege"),
    # contracts, totals
    app("a contract is changed", "UPDATE contract SET version = 9 WHERE id = %(contract)s", refused="InsufficientPrivilege"),
    thief("a contract's text is changed", "UPDATE contract SET source_text = convert_to(replace(convert_from(source_text, 'UTF8'), '4096', '4097'), 'UTF8') WHERE id = %(contract)s", "contracts"),
    app("a contract with the digest of another", f"INSERT INTO contract (stream_id, version, digest, source_text, files, loaded_by) SELECT stream_id, 99, {D}, source_text, files, loaded_by FROM contract WHERE id = %(contract)s", "contracts"),
    app("a contract that nobody loaded", "INSERT INTO contract (stream_id, version, digest, source_text, files, loaded_by) SELECT stream_id, 99, digest, source_text, files, loaded_by FROM contract WHERE id = %(contract)s", "acts"),
    app("a total that nobody declared", "INSERT INTO control_total (win, event_class, declared, declared_by) SELECT max(id), 'thing', 0, 'test' FROM run_window WHERE run_id IN (SELECT id FROM run WHERE stream_id = %(stream)s)", "acts"),
    thief("a total under a PASS", "UPDATE control_total SET declared = declared + 1 WHERE win = %(win)s", "passes"),
    # bases, snapshots
    app("a basis is changed", "UPDATE basis SET facts = '{}' WHERE win = %(win)s", refused="InsufficientPrivilege"),
    app("a later generation of another topic", A_GENERATION.format(2, OTHER_TOPIC), refused="basis_only_grows"),
    thief("and nobody refused it", A_GENERATION.format(2, OTHER_TOPIC), "generations"),
    app("a generation that follows on none", A_GENERATION.format(9, "facts"), refused="basis_only_grows"),
    app("a generation that promises less", A_GENERATION.format(2, LESS), refused="basis_only_grows"),
    thief("and of that nobody refused it", A_GENERATION.format(2, LESS), "generations"),
    app("a generation of a plan that there is not", "INSERT INTO basis (win, generation, snapshot_id, facts, digest, why, plan) SELECT win, 2, snapshot_id, facts, digest, why, 0 FROM basis WHERE win = %(win)s", refused="basis_of_its_plan"),
    app("a generation that nobody took in", A_GENERATION.format(2, "facts"), "acts"),
    app("a second end of a window", "INSERT INTO snapshot (win, kind, facts) SELECT win, kind, facts FROM snapshot WHERE win = %(win)s AND kind = 'END'", "snapshots"),
    thief("a basis has other facts", "UPDATE basis SET facts = jsonb_set(facts, '{inbox}', '[]') WHERE win = %(win)s", "bases"),
    thief("a basis has other facts, and their digest is not the verdict's", f"UPDATE basis SET digest = {D} WHERE win = %(win)s", "verdicts"),
    thief("a snapshot saw another cluster", "UPDATE snapshot SET facts = jsonb_set(facts, '{broker,cluster_id}', '\"other\"') WHERE win = %(win)s", "snapshots"),
    # verdicts and the gate: the rest is in other lists
    thief("a verdict says complete until a time that nobody measured", "UPDATE verdict SET body = body || '{\"complete_until\": \"2026-01-01T00:00:00.000000Z\"}' WHERE win = %(win)s", "complete"),
    thief("a verdict is rewritten", "UPDATE verdict SET body = jsonb_set(body, '{sentence}', '\"fine\"') WHERE win = %(win)s", "verdicts"),
    thief("a verdict's row and body disagree", "UPDATE verdict SET revision = revision - 1 WHERE win = %(win)s", "verdict_rows"),
    thief("a verdict is missing", "UPDATE verdict SET number = number + 1 WHERE win = %(win)s", "verdict_numbers"),
    thief("a window is pinned at its cut to no time", "UPDATE contract SET pins_at_cut = true WHERE id = %(contract)s; INSERT INTO window_pin (win, context, pinned_win, verdict) VALUES (%(win)s, 'weather', %(win)s, 'w#1')", "pins"),
    thief("a PASS of a window that is not cut", "UPDATE run_window SET state = 'OPEN' WHERE id = %(win)s", "verdict_order"),
    Cheat("an open gate with a reason to be shut", "UPDATE gate_open SET shut_why = 'drift', open_until = now() + interval '1 h' WHERE win = %(win)s", refused="gate_reason_ends_lease", by=SUPERUSER),
    thief("an open gate of a verdict that is no PASS", "UPDATE verdict SET state = 'BLOCKED' WHERE win = %(win)s; UPDATE gate_open SET open_until = now() + interval '1 h' WHERE win = %(win)s", "open_gates"),
    app("let in without a verdict", A_DECISION.format("NULL", "now()"), "granted"),
    thief("let in after a FAIL", "UPDATE verdict SET state = 'FAIL' WHERE win = %(win)s; " + A_DECISION.format("%(name)s || '/r1#1'", "now() + interval '1 min'"), "granted_after"),
    thief("a table that nobody guards", "CREATE TABLE truth.open_to_all (win integer)", "truth_guarded"),
    thief("row security is off", "ALTER TABLE truth.weather DISABLE ROW LEVEL SECURITY", "truth_guarded"),
    thief("another policy lets readers through", "CREATE POLICY wide ON truth.weather FOR SELECT TO passgate_reader USING (true)", "truth_guarded"),
    # the audit log
    app("a row far ahead", A_ROW.format("last_id + 7", D), refused="audit_row_at_head"),
    app("a row without the head", A_ROW.format("last_id + 1", D), refused="audit_head_moved"),
    app("the head is garbled", f"UPDATE audit_head SET digest = {D}", refused="audit_head_on_row"),
    app("a forged row", f"{A_ROW.format('last_id + 1', D)}; UPDATE audit_head SET last_id = last_id + 1, digest = {D}", "audit_chain", of_all=True),
    app("a row is rewritten by the application", "UPDATE audit_log SET actor = 'eve'", refused="InsufficientPrivilege"),
    thief("a row is rewritten", f"UPDATE audit_log SET actor = 'eve' WHERE id = {LAST_ROW} - 1", "audit_chain", of_all=True),
    thief("a row is gone", f"DELETE FROM audit_log WHERE id = {LAST_ROW} - 1", "audit_chain", of_all=True),
    thief("the last row is gone", f"DELETE FROM audit_log WHERE id = {LAST_ROW}", "audit_chain", of_all=True),
    thief("the head points elsewhere", f"UPDATE audit_head SET digest = {D}", "audit_chain", of_all=True),
    thief("a verdict that no act stored", "DELETE FROM audit_log WHERE act = 'run.verdict' AND subject = %(name)s || '/r1'", "acts"),
    thief("a run is cut elsewhere than its act says", "UPDATE window_range SET end_offset = end_offset - 1 WHERE win = %(win)s AND source_id = %(inbox)s", "acts"),
    thief("an act without its verdict", "DELETE FROM verdict WHERE win = %(win)s", "acts"),
    thief("an act without its totals", "DELETE FROM control_total WHERE win = %(win)s", "acts"),
]  # fmt: skip

TRUTH = [
    Cheat("a row that readers read and nobody sent", f"INSERT INTO truth.weather (win, identity) VALUES (%(win)s, {D})", refused="truth_comes_before_its_gate"),
    thief("a row is taken from readers", f"DELETE FROM truth.weather WHERE win = %(win)s AND identity = {ONE}", "truth"),
]  # fmt: skip

BY_CHECK = {
    cheat.found: cheat
    for cheat in PASSED_OVER + COVER + DECIDED + STOLEN + STOLEN_GIVEN + CHEATS + TRUTH + RERUN
    if cheat.found
}


@pytest.mark.parametrize("cheat", CHEATS, ids=[cheat.id for cheat in CHEATS])
def test_a_cheat_is_noticed(passed: Values, cheat: Cheat) -> None:
    notice(cheat, passed)


@pytest.mark.parametrize("cheat", TRUTH, ids=[cheat.id for cheat in TRUTH])
def test_what_readers_read_is_what_was_applied(projected: Values, cheat: Cheat) -> None:
    notice(cheat, projected)


def test_nothing_is_found_where_nobody_cheats(passed: Values, projected: Values) -> None:
    for world in (passed, projected):
        report = examine(world["name"])
        assert ([str(x) for x in report.findings], [str(x) for x in report.unseen]) == ([], [])
    assert examine(None, names={"audit_chain"}).findings == ()


def test_every_check_of_fsck_has_a_cheat_that_it_finds() -> None:
    assert set(BY_CHECK) == set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_without_its_check_the_cheat_goes_unnoticed(
    passed: Values,
    projected: Values,
    waived_run: Values,
    rerun_run: Values,
    given: Values,
    decided_run: Values,
    covered_run: Values,
    gone_run: Values,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """fsck without one of its checks: then the test of the cheat that it finds fails."""
    monkeypatch.setattr(checks, "CHECKS", tuple(check for check in checks.CHECKS if check.name != name))
    monkeypatch.setattr(reread, "COMPARISONS", {n: i for n, i in reread.COMPARISONS.items() if n != name})
    cheat = BY_CHECK[name]
    worlds = (
        (TRUTH, projected), (STOLEN, waived_run), (RERUN, rerun_run), (STOLEN_GIVEN, given), (DECIDED, decided_run),
        (COVER, covered_run), (PASSED_OVER, gone_run),
    )  # fmt: skip
    world = next((world for cheats, world in worlds if cheat in cheats), passed)
    with pytest.raises(AssertionError, match="nothing noticed it"):
        notice(cheat, world)
