"""The steps of the flows as Prefect tasks: names, logs and artifacts around one call to the engine."""
