"""Deployments and the command line: where and when the flows run."""
