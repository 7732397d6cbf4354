"""Real parts and helpers for the tests."""
