"""Turns are row locks that a reader's login cannot name: see sql/turns.sql."""

from django.db import migrations, models

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("ingest", "0006_publishing_writes_less")]

    operations = [
        migrations.CreateModel(
            name="Turn",
            fields=[("name", models.TextField(primary_key=True, serialize=False))],
            options={"db_table": "turn"},
        ),
        migrations.RunSQL(sql_text("turns"), migrations.RunSQL.noop),
    ]
