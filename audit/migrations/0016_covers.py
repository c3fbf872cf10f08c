"""A rerun that proves all of a window that failed opens it: see sql/covers.sql."""

import django.db.models.deletion
from django.db import migrations, models

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0015_places"), ("ingest", "0016_reruns")]

    operations = [
        migrations.AddField(
            "verdict",
            "covers",
            models.ForeignKey(
                db_column="covers",
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="ingest.window",
            ),
        ),
        migrations.AddIndex(
            "verdict",
            models.Index(fields=["covers", "-id"], condition=models.Q(covers__isnull=False), name="verdict_covers"),
        ),
        migrations.RunSQL(sql_text("covers"), migrations.RunSQL.noop),
    ]
