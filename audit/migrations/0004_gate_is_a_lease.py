"""The gate's row is a lease that counts from a measurement, and ends with what it stands on: see sql/gate_lease.sql."""

from datetime import timedelta

from django.db import migrations, models
from django.db.models import F, Q

from audit.migrations.sql import sql_text

# What no rule of the lease would let through is shut before the rules are there.
_TIDY = """
DROP TRIGGER gate_transition ON gate_open;
UPDATE gate_open SET open_until = checked_at
 WHERE shut_why IS NOT NULL AND open_until > checked_at OR open_until - checked_at > interval '3 hours';
UPDATE gate_open SET readers_ended_at = clock_timestamp() WHERE open_until <= clock_timestamp();
CREATE TRIGGER gate_transition BEFORE INSERT OR UPDATE ON gate_open FOR EACH ROW EXECUTE FUNCTION gate_transition();
"""


class Migration(migrations.Migration):
    # the tables of schema truth that are there already are guarded anew
    dependencies = [("audit", "0003_end_reader"), ("ingest", "0003_projections"), ("ingest", "0007_turns")]

    operations = [
        migrations.AddField("gateopen", "readers_ended_at", models.DateTimeField(null=True)),
        migrations.RunSQL(_TIDY, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "gateopen",
            models.CheckConstraint(
                condition=Q(shut_why__isnull=True) | Q(open_until__lte=F("checked_at")),
                name="gate_reason_ends_lease",
            ),
        ),
        migrations.AddConstraint(
            "gateopen",
            models.CheckConstraint(
                condition=Q(open_until__lte=F("checked_at") + timedelta(hours=3)),
                name="gate_lease_has_a_longest",
            ),
        ),
        migrations.RunSQL(sql_text("gate_lease"), migrations.RunSQL.noop),
    ]
