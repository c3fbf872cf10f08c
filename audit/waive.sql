-- name: facts
-- What a waiver of this check would be of, and whether the window failed: then nothing of it is waived any more.
SELECT waiver_facts(w.id, %(check)s) AS facts, w.state, w.contract_id,
       (SELECT v.number FROM verdict v WHERE v.win = w.id AND v.state = 'FAIL' ORDER BY v.number LIMIT 1) AS failed
  FROM run_window w WHERE w.id = %(win)s

-- name: write
-- The trigger waiver_of_its_plan holds every word against the plan, and the facts against those that are there.
INSERT INTO waiver (win, check_name, facts, until, plan, requested_by, approved_by, reason)
VALUES (%(win)s, %(check)s, %(facts)s, %(until)s, %(plan)s, %(requested_by)s, %(approved_by)s, %(reason)s)
