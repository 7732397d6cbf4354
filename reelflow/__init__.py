"""The engine of reelflow: plain Python that never imports Prefect."""
