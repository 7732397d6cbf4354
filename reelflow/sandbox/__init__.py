"""Taisly and TikMatrix over real HTTP, to try things with.

Faithful to what the two vendors document; what is assumed is listed in docs/sandbox.md. It shares none of the
clients' models: the two sides meet only in the payloads of tests/contract.
"""
