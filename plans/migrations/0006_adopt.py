"""A plan that adopts an older copy of the database, and the row that it alone may add: see sql/adopt.sql."""

from django.db import migrations, models

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0005_basis"), ("ingest", "0018_adopt")]

    operations = [
        migrations.RemoveConstraint(model_name="plan", name="plan_kind_known"),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    kind__in=[
                        "replay",
                        "redrive",
                        "republish",
                        "decide",
                        "waive",
                        "basis",
                        "retire",
                        "adopt",
                        "erase",
                    ]
                ),
                name="plan_kind_known",
            ),
        ),
        migrations.RunSQL(sql_text("adopt"), migrations.RunSQL.noop),
    ]
