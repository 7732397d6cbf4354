"""The steps of the flows as Prefect tasks: retries, names, logs and artifacts around the engine."""
