"""Many posts from one plan: read, checked, given their times, and sent."""
