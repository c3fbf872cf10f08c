"""Pure rules of ingest: values in, values out. No Django, no Kafka, no SQL, no clock, no randomness."""
