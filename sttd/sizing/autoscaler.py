"""A Kubernetes autoscaler on queue length, as deploy/kubernetes/keda sets it up: its interval and its speed.

Its only input is the length of the queue.
"""

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """The numbers of the ScaledObject.

    `waiting_each`: waiting notes for each consumer that is wanted (`value` of the trigger). `poll_seconds`: the
    horizontal pod autoscaler's own interval; KEDA's pollingInterval only wakes from zero. `start_seconds`: from the
    order to the first note: pod, image, model.
    """

    least: int = 1
    most: int = 10
    waiting_each: float = 10.0
    poll_seconds: float = 15.0
    start_seconds: float = 30.0
    up_seconds: float = 30.0
    calm_seconds: float = 300.0
    down_seconds: float = 60.0


class Replicas:
    """How many consumers there should be, interval by interval.

    Up to twice as many (or two more) in `up_seconds`, one less in `down_seconds`.
    """

    def __init__(self, rules: Autoscaler, replicas: int) -> None:
        """`replicas`: how many there are at time 0."""
        self._rules = rules
        self._replicas = replicas
        self._asked: deque[tuple[float, int]] = deque()
        self._ups: deque[tuple[float, int]] = deque()
        self._last_down = -math.inf

    def wanted(self, now: float, waiting: int) -> int:
        """`waiting`: notes that no consumer holds, at `now` seconds."""
        rules = self._rules
        asked = min(max(math.ceil(waiting / rules.waiting_each), rules.least), rules.most)
        self._asked.append((now, asked))
        while self._asked[0][0] < now - rules.calm_seconds:
            self._asked.popleft()
        if asked > self._replicas:
            self._up(now, asked)
        elif max(number for _, number in self._asked) < self._replicas and now - self._last_down >= rules.down_seconds:
            self._replicas -= 1
            self._last_down = now
        return self._replicas

    def _up(self, now: float, asked: int) -> None:
        while self._ups and self._ups[0][0] <= now - self._rules.up_seconds:
            self._ups.popleft()
        before = self._replicas - sum(added for _, added in self._ups)
        reached = min(asked, max(2 * before, before + 2))
        if reached > self._replicas:
            self._ups.append((now, reached - self._replicas))
            self._replicas = reached
