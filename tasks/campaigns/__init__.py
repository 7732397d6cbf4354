"""The steps of the campaign flows."""
