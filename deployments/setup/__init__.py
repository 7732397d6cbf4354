"""``reelflow setup`` and ``reelflow teardown``: the desired state, the actual state, and the changes between them."""
