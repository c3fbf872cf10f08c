"""When a lane was last taken: whoever had a turn goes behind those that wait for one, in every process."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ingest", "0003_projections")]

    operations = [
        migrations.AddField("position", "taken_at", models.DateTimeField(null=True)),
        migrations.RunSQL("GRANT UPDATE (taken_at) ON position TO passgate_app", migrations.RunSQL.noop),
    ]
