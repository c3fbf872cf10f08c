"""How a run of many windows stands: its verdicts that are no plain PASS, which are few."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0010_waivers")]

    operations = [
        migrations.AddIndex(
            "verdict",
            models.Index(
                condition=models.Q(models.Q(("state", "PASS"), _negated=True), ("waived", True), _connector="OR"),
                fields=["run", "win", "-number"],
                name="verdict_odd",
            ),
        ),
    ]
