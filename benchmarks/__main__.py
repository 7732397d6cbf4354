"""``make bench``: each measurement as a ratio against a named rival, in the same run."""

import sys

from benchmarks import campaign, check_videos, fit, ledger_cost, phone_watch, probe, requests_per_video, upload


def main() -> int:
    """Run all; 0 if every bound holds."""
    results = [
        *probe.measure(),
        *upload.measure(),
        *ledger_cost.measure(),
        *requests_per_video.measure(),
        *phone_watch.measure(),
        *check_videos.measure(),
        *campaign.measure(),
        *fit.measure(),
    ]
    width = max(len(r.what) for r in results)
    for r in results:
        print(f"{'ok  ' if r.holds else 'FAIL'} {r.what:{width}}  {r.found}   (bound: {r.bound})")
    return 0 if all(r.holds for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
