"""The product's API, as `coursebell api` runs it, on a database that is watched.

Tells, when asked, what CPU it has used and how long its transactions held what they had locked.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from bench.children.serving import serve
from bench.children.talk import hear
from bench.schools import registrar_of
from bench.watching import WatchedDatabase
from coursebell import bootstrap
from coursebell.metrics import Metrics
from coursebell.services import deliveries
from coursebell.settings import Settings
from coursebell.web.app import create_app


def main() -> int:
    settings = Settings.load(database_url=hear()["url"])
    bootstrap.configure_logs(settings)
    database = WatchedDatabase(settings.database_url)
    registrar = registrar_of(database)
    metrics = Metrics(lambda: deliveries.measure_backlog(registrar, datetime.now(UTC)))
    app = create_app(registrar, metrics, lambda: None)
    bootstrap.settle_memory()
    serve(app, lambda: {"cpu": time.process_time(), "held": database.held})
    database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
