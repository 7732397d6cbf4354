"""What people run: one file for each job, each a story in steps."""
