from __future__ import annotations

import time

import pytest

from drivers.meters.poct1a import Poct1aDriver
from tests.protocol.poct1a.made import hello, observation, service, status

pytestmark = pytest.mark.bench


def test_decodes_3000_observations_a_second(pt2: Poct1aDriver) -> None:
    messages = [observation(service(fields=f'<SVC.sequence_nbr V="{n}"/>'), str(n)) for n in range(2000)]
    started_s = time.process_time()
    for message in messages:
        pt2.decode([hello(), status(), message])
    rate = len(messages) / (time.process_time() - started_s)
    print(f"\n{rate:.0f} observation messages a second and core")
    assert rate >= 3000
