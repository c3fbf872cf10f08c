"""A run of many windows without their flow: what the faces show of them, with nothing at work."""

from __future__ import annotations

from collections.abc import Sequence

from tests.audit.test_fsck import cheat
from tests.flow.world import Flow

_MADE = """
WITH asked AS (SELECT state, number::integer FROM unnest(%(states)s::text[]) WITH ORDINALITY x(state, number)),
r AS (SELECT r.id, r.contract_id, c.digest FROM run r JOIN contract c ON c.id = r.contract_id
        JOIN stream s ON s.id = r.stream_id WHERE s.name = %(stream)s AND r.name = %(run)s),
gone AS (DELETE FROM run_window WHERE run_id IN (SELECT id FROM r) RETURNING id),
win AS (INSERT INTO run_window (run_id, number, contract_id, state, revision, judged_revision, opened_at, cut_at)
        SELECT r.id, a.number, r.contract_id, CASE a.state WHEN 'OPEN' THEN 'OPEN' ELSE 'CUT' END, 1,
               CASE WHEN a.state NOT IN ('OPEN', 'CUT') THEN 1 END, clock_timestamp() - interval '2 h',
               CASE WHEN a.state <> 'OPEN' THEN clock_timestamp() END
          FROM asked a, r WHERE (SELECT count(*) FROM gone) >= 0 RETURNING id, run_id, number),
judged AS (INSERT INTO verdict (run_id, number, win, revision, state, waived, basis_generation, contract_digest,
                                body, digest, decided_by)
           SELECT w.run_id, w.number, w.id, 0, CASE a.state WHEN 'SHUT' THEN 'PASS' ELSE a.state END, false, 1,
                  r.digest, jsonb_build_object('sentence', format('Window %%s is %%s: made so.', w.number, a.state)),
                  '', 'test'
             FROM win w JOIN asked a USING (number), r WHERE a.state NOT IN ('OPEN', 'CUT') ORDER BY w.number
           RETURNING id, win, number, state)
INSERT INTO gate_open (win, verdict_id, open_until, checked_at, shut_why)
SELECT j.win, j.id, CASE a.state WHEN 'SHUT' THEN n.at ELSE n.at + interval '20 min' END, n.at,
       CASE a.state WHEN 'SHUT' THEN 'for a test' END
  FROM judged j JOIN asked a USING (number), clock_timestamp() n(at) WHERE j.state = 'PASS'
"""


def run_of(flow: Flow, states: Sequence[str], run: str = "r1") -> None:
    """The run's windows from now on, in order: PASS with an open gate, SHUT (a PASS whose gate is shut), BLOCKED, FAIL,
    CUT (not judged) or OPEN."""
    flow.open(run)
    with cheat(flow) as connection:
        connection.execute(_MADE, {"states": list(states), "stream": flow.name, "run": run})
        if "OPEN" not in states:
            state = "CUT" if "CUT" in states else "CLOSED"
            connection.execute(
                "UPDATE run r SET state = %s, cut_at = clock_timestamp(),"
                " closed_at = CASE WHEN %s = 'CLOSED' THEN clock_timestamp() END"
                " FROM stream s WHERE s.id = r.stream_id AND s.name = %s AND r.name = %s",
                [state, state, flow.name, run],
            )
