"""Videos from elsewhere: from the web or a storage to a file of this machine, downloaded once and within limits.

what people write ── source ──┬── from_web ─── web ── reach ──┐
└── from_storage ───────────────┴── kept ── folder ── the file
"""
