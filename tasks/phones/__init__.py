"""The steps of the phone flows."""
