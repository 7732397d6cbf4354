"""``reelflow teardown``: take back what setup made."""

from __future__ import annotations

import sys

from deployments.programs import end
from deployments.setup import app

if __name__ == "__main__":
    end(lambda: int(app(["teardown", *sys.argv[1:]], result_action="return_value") or 0))
