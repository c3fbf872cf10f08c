"""Windows that follow one another: one of a run is open, and their ranges form a chain (sql/windows.sql)."""

from django.db import migrations, models
from django.db.models import Q

from ingest.migrations.sql import sql_text

_UNDO = """
DROP TRIGGER window_range_chain ON window_range;
DROP FUNCTION window_range_chain();
DROP FUNCTION run_before(integer);
DROP TRIGGER window_complete_once ON run_window;
DROP FUNCTION window_complete_once();
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0014_words")]

    operations = [
        migrations.AddField("window", "complete_until", models.DateTimeField(null=True)),
        migrations.AddField("window", "complete_why", models.TextField(null=True)),
        migrations.AddConstraint(
            model_name="window",
            constraint=models.UniqueConstraint(fields=["run"], condition=Q(state="OPEN"), name="window_one_open"),
        ),
        migrations.RunSQL(sql_text("windows"), _UNDO),
    ]
