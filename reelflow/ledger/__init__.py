"""The durable record of what was sent, and the only package with SQL.

One row for each destination of each post, claimed before anything is sent, so that two runs, two workers or two
machines cannot both send it. SQLite by default; PostgreSQL by URL where workers run on several machines.

States of a destination::

    CLAIMED ──► SENDING ──► ACCEPTED ──► SUCCESS | FAILED
       ▲           │            └──────► CANCELLED
       │           ├──► REFUSED
       │           └──► UNCONFIRMED   (may be out; a person decides)
       └── given back when it is certain that nothing was posted

A send is *sealed* just before the last piece of its upload leaves. A send that died unsealed cannot have been
posted, and is given back; one that died sealed may have been, and is looked for in Taisly's history.

Times are Unix seconds of this machine's clock. Leases are long against the differences that clocks kept by NTP have.
"""

from reelflow.ledger.database import URL_VARIABLE, default_url
from reelflow.ledger.keys import key_fingerprint
from reelflow.ledger.posts import Ledger

__all__ = ["URL_VARIABLE", "Ledger", "default_url", "key_fingerprint"]
