"""Measured ratios against named rivals: ``make bench``."""
