-- name: approve
-- The second signature, over a digest. The database holds it against the plan's, and one person against the other; where they
-- are one, it counts that person's free records (plan_approved_alone).
UPDATE plan SET state = 'APPROVED', acted_by = %(who)s, acted_why = %(why)s, approved_by = %(who)s,
       approved_person = %(person)s, approved_digest = %(digest)s
 WHERE id = %(plan)s AND state = 'SUBMITTED'
RETURNING free_records
