-- name: approve
-- The last approval moves the plan on. The database holds it against its row and those before, and names all who gave one
-- (plan_has_its_approvals); where the
-- approver is who asked, it counts that person's free records (plan_approved_alone).
UPDATE plan SET state = 'APPROVED', acted_by = %(who)s, acted_why = %(why)s, approved_by = %(who)s,
       approved_person = %(person)s, approved_digest = %(digest)s
 WHERE id = %(plan)s AND state = 'SUBMITTED'
RETURNING free_records
