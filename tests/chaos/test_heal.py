"""After the faults of a trial, nothing is left stopped, also where the server is ready again."""

import signal

import psycopg
import pytest

from tests.chaos.cluster import running
from tests.chaos.nemesis import Nemesis


@pytest.mark.nightly
def test_a_stopped_part_is_continued() -> None:
    with running(num_workers=1) as cluster:
        cluster.signal("postgres", signal.SIGSTOP)
        with pytest.raises(psycopg.OperationalError):
            cluster.database(connect_timeout_s=2)

        nemesis = Nemesis(cluster, iter(()), [])
        nemesis.start()
        nemesis.stop()

        with cluster.database() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
