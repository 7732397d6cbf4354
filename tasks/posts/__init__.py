"""The steps of the post flows."""
