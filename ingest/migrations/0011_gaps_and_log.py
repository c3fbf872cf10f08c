"""Gaps begin as claims and remember who made and proved them; the audit log grows at its head: sql/gaps_and_log.sql."""

from django.db import migrations, models

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("ingest", "0010_retention")]

    operations = [
        migrations.AddField("gap", "claimed_backend", models.IntegerField(null=True)),
        migrations.AddField("gap", "proven_backend", models.IntegerField(null=True)),
        migrations.RunSQL(sql_text("gaps_and_log"), migrations.RunSQL.noop),
    ]
