"""The steps of the upkeep flows."""
