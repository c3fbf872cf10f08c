"""What needs somebody on every page: FAILs, by when they were stored."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0007_retention"),
        ("ingest", "0011_gaps_and_log"),
    ]
    run_before = [("ingest", "0014_words")]  # earlier functions here name columns that it renames

    operations = [
        migrations.AddIndex(
            model_name="verdict",
            index=models.Index(condition=models.Q(("state", "FAIL")), fields=["-decided_at"], name="verdict_failed"),
        ),
    ]
