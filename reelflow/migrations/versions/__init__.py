"""The ledger's migrations, run by reelflow.ledger."""
