"""Scripts on the owner's phones: requests, limits, and the outcome of each task."""
