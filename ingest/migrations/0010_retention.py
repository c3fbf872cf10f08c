"""Samples are forgotten by their age, through an index; raw bytes of foreign records may age: see sql/retention.sql.

A window says itself why nobody could judge it: that stood in a worker's log alone.
"""

from django.db import migrations, models

from ingest.migrations.sql import sql_text

_UNDO = """
DROP FUNCTION forget_foreign_bytes(interval, integer);
DROP TRIGGER append_only ON foreign_record;
SELECT guard_append_only('foreign_record'::regclass);
DROP FUNCTION refuse_change_but_by_age();
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0009_retirement")]

    operations = [
        migrations.AddField("window", "unjudged_why", models.TextField(null=True)),
        migrations.AddField("window", "unjudged_at", models.DateTimeField(null=True)),
        migrations.RunSQL(
            "GRANT UPDATE (unjudged_why, unjudged_at) ON run_window TO passgate_app", migrations.RunSQL.noop
        ),
        migrations.AddIndex("sample", models.Index(fields=["at"], name="sample_by_age")),
        migrations.RunSQL(sql_text("retention"), _UNDO),
    ]
