-- name: gate_decisions
-- Lets go of the oldest answers of the gate. The function refuses what is younger than a week.
SELECT forget_gate_decisions(%(older)s, %(most)s) AS n

-- name: foreign_bytes
-- Lets go of the raw bytes of foreign records, not of the rows. The function refuses what is younger than a week.
SELECT forget_foreign_bytes(%(older)s, %(most)s) AS n
