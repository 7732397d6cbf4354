"""What is always there: API keys, plans, connected accounts, phones."""

from __future__ import annotations

import hashlib

API_KEY = "taisly_sandbox"
FREE_KEY = "taisly_free"
"""A key as an account on the FREE plan would have it, if that plan had keys: always answered with 403."""
REQUESTS_PER_HOUR = {"STARTER": 50, "INFLUENCER": 200, "PRO": 1000}
"""Taisly's hourly quota by plan."""
DEVICE_LIMIT = {"Starter": 3, "Pro": 20, "Team": 50, "Business": 100}
"""How many phones TikMatrix runs at once, by licence."""

ACCOUNTS = [
    {"id": "64f1c0de00000000000000a1", "platform": "TikTok", "displayName": "@mara.bakes"},
    {"id": "64f1c0de00000000000000a2", "platform": "TikTok", "displayName": "@mara.behind.the.oven"},
    {"id": "64f1c0de00000000000000b1", "platform": "Instagram", "displayName": "mara.bakes"},
    {"id": "64f1c0de00000000000000c1", "platform": "YouTube", "displayName": "Mara Bakes"},
    {"id": "64f1c0de00000000000000d1", "platform": "X", "displayName": "@marabakes"},
    {"id": "64f1c0de00000000000000e1", "platform": "Facebook", "displayName": "Mara Bakes"},
]
"""The accounts connected to Taisly, as it lists them."""


def accounts_of(client: str) -> list[dict[str, str]]:
    """The accounts of a further client, which has a Taisly account of its own."""
    digest = hashlib.sha256(client.encode()).hexdigest()[:22]
    names = {"TikTok": f"@{client}.daily", "Instagram": f"{client}.daily", "YouTube": client.replace("-", " ").title()}
    return [
        {"id": f"{digest}{number:02x}", "platform": platform, "displayName": name}
        for number, (platform, name) in enumerate(names.items(), 1)
    ]


def key_of(client: str) -> str:
    """The API key of a further client: "taisly_sandbox_cafe"."""
    return f"{API_KEY}_{client}"


POST_LINKS = {
    "TikTok": "https://www.tiktok.com/@{handle}/video/{id}",
    "Instagram": "https://www.instagram.com/reel/{id}/",
    "YouTube": "https://www.youtube.com/shorts/{id}",
    "X": "https://x.com/{handle}/status/{id}",
    "Facebook": "https://www.facebook.com/reel/{id}",
}

_NAMES = ["ada", "ben", "cleo", "dan", "eva", "finn", "gia", "hugo", "ida", "jon", "kim", "lea",
          "max", "nia", "ole", "pia", "quin", "rosa", "sam", "tess"]  # fmt: skip
DEVICES = {f"R58N{i:02d}SANDBOX": [f"{name}.daily", f"{name}.studio"] for i, name in enumerate(_NAMES, 1)}
"""Twenty phones by serial, as many as the licence Pro runs at once, with two usernames each."""
REAL_SERIALS = {serial: f"RZ8M{i:02d}SANDBOX" for i, serial in enumerate(DEVICES, 1)}
"""The other name of each phone, as the phone itself has it: TikMatrix's `real_serial`."""
PHONES = [f"{serial}: {', '.join(users)}" for serial, users in DEVICES.items()]
"""The same phones as their owner writes them into the TikMatrix block."""
