"""Posts: request, send exactly once, watch, and report the outcome."""
