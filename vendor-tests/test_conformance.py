"""Real brokers are held to the list of appends to which the model leader and the embedded log are held.

The list, and what each append is answered, is in `src/sim/conformance.rs`; that test asks here, on its
standard output, for what only a broker's operator can do.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest

from conftest import VERSIONS

ROOT = Path(__file__).resolve().parent.parent
TEST = "sim::conformance::a_broker_elsewhere_answers_as_the_list_says"
# Longer than a restart takes.
FORGETS_AFTER_SECONDS = 40


@pytest.mark.parametrize("version", VERSIONS)
def test_a_broker_answers_as_the_model_does(own_cluster, figure, version):
    cluster = own_cluster(version, producer_id_expiration_ms=FORGETS_AFTER_SECONDS * 1000,
                          producer_id_expiration_check_interval_ms=500)
    command = ["cargo", "test", "--offline", "--quiet", "--lib", TEST, "--", "--exact", "--nocapture"]
    run = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"KAFKA_CONFORMANCE_BOOTSTRAP": cluster.bootstrap},
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for line in run.stdout:
        said.append(line)
        if not line.startswith("ASK "):
            continue
        what, *topic = line.split()[1:]
        if what == "fresh":
            cluster.create_topic(*topic)
        elif what == "restart":
            cluster.kill(cluster.nodes[0])
            cluster.restart(cluster.nodes[0])
        elif what == "forget":
            time.sleep(FORGETS_AFTER_SECONDS + 3)
        elif what == "remake":
            cluster.delete_topic(*topic)
            cluster.create_topic(*topic)
        else:
            raise AssertionError(line)
        run.stdin.write("done\n")
        run.stdin.flush()
    assert run.wait(60) == 0, "".join(said)
    counted = [line for line in said if line.startswith("conformance: ")]
    assert counted, "".join(said)
    figure(f"Kafka {version}: {counted[0].strip()}")
