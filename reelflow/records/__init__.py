"""The types of the ledger's records, for posts and phones, with their state transitions.

They are below the ledger and shared by everything above it, so that no import points up.
"""
