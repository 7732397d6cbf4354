"""Upkeep: dead and late runs, and the history of recent days."""
