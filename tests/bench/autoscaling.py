"""KEDA's decisions over a day, as config/kubernetes configures it, with simulated lessons.

`python -m tests.bench.autoscaling [CLASS] > day.svg` plots them and prints figures to stderr.

The autoscaler is modelled after Kubernetes' documentation, "Horizontal Pod Autoscaling": ratio with
a tolerance of a tenth, the highest proposal of all metrics, stabilization window, policies.
"""

import json
import math
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.unit.kubernetes.manifests import build, find

STEP = 15
"""Seconds between two decisions: the autoscaler's default."""

LAG = 2
"""Steps by which the metrics are late: a scrape interval, and KEDA's poll."""

TOLERANCE = 0.1
START_SECONDS = 60
"""Seconds until a new pod is ready."""

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Policy:
    """The scaling rules of a ScaledObject and its Deployment.

    Attributes:
        per_pod: The lessons that one pod is for, also the least buffer.
        window: Seconds for which the highest proposal counts before pods are removed.
        down: Pods that may be removed in a minute.
        grace: Seconds that a pod may drain.
    """

    per_pod: int
    least: int
    most: int
    window: int
    down: int
    grace: int

    @classmethod
    def read(cls, manifests: Sequence[dict[str, Any]]) -> "Policy":
        """Return the policy of an overlay."""
        spec = find(manifests, "ScaledObject")["spec"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        [policy] = behavior["policies"]
        pod = find(manifests, "Deployment")["spec"]["template"]["spec"]
        return cls(
            per_pod=int(spec["triggers"][0]["metadata"]["threshold"]),
            least=spec["minReplicaCount"],
            most=spec["maxReplicaCount"],
            window=behavior["stabilizationWindowSeconds"],
            down=policy["value"] * 60 // policy["periodSeconds"],
            grace=pod["terminationGracePeriodSeconds"],
        )

    def lessons(self, live: int, waiting: int) -> float:
        """Return the value of the query of the trigger `lessons`."""
        return live + waiting + max(0.2 * live, self.per_pod)

    def propose(self, now: int, live: int, waiting: int, teaching: int) -> int:
        """Return the replicas for these metrics, before the policies of the behavior apply."""
        lessons = _replicas(now, self.lessons(live, waiting), self.per_pod)
        return min(self.most, max(self.least, lessons, _replicas(now, teaching, 1)))


def _replicas(now: int, value: float, target: int) -> int:
    if abs(value / (target * now) - 1) <= TOLERANCE:
        return now
    return math.ceil(value / target)


@dataclass(slots=True)
class Autoscaler:
    """The autoscaler's memory of its proposals and of the pods that it removed."""

    policy: Policy
    proposals: deque[int] = field(default_factory=deque)
    removed: deque[int] = field(default_factory=deque)

    def decide(self, now: int, live: int, waiting: int, teaching: int) -> int:
        """Return the replicas for the next step."""
        self.proposals.append(self.policy.propose(now, live, waiting, teaching))
        if len(self.proposals) > self.policy.window // STEP:
            self.proposals.popleft()
        if len(self.removed) >= 60 // STEP:
            self.removed.popleft()
        wanted = self.proposals[-1]
        if wanted < now:
            left = self.policy.down - sum(self.removed)
            wanted = max(min(now, max(self.proposals)), now - left)
        else:
            wanted = min(wanted, max(now + 4, 2 * now))
        self.removed.append(max(0, now - wanted))
        return wanted


@dataclass(slots=True)
class Pod:
    """A pod: the time of its readiness, the ends of its lessons, and the start of its drain."""

    ready: int
    ends: list[int] = field(default_factory=list)
    drains: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """The values of one step.

    Attributes:
        replicas: Pods that do not drain, ready or not.
        capacity: Lessons that the ready ones are for.
        live: Lessons, including those on draining pods.
        waiting: Learners without a tutor.
        teaching: Pods with lessons that do not drain.
        cut_short: Lessons that said goodbye early, since their pod had no time left.
    """

    at: int
    replicas: int
    capacity: int
    live: int
    waiting: int
    teaching: int
    cut_short: int


def simulate(policy: Policy, demand: Callable[[int], float], seed: int = 1) -> list[Moment]:
    """Return a day in steps of 15 seconds.

    Args:
        policy: The policy.
        demand: Returns the learners who arrive in a second, by the second of the day.
        seed: Seeds arrivals, durations and where LiveKit sends a lesson.
    """
    chance, scaler = random.Random(seed), Autoscaler(policy)  # noqa: S311  # a simulation
    pods = [Pod(0) for _ in range(policy.least)]
    day: list[Moment] = []
    waiting = 0
    for at in range(0, DAY, STEP):
        cut_short = _end(pods, at, policy.grace)
        waiting = _begin(pods, at, waiting + _arrivals(chance, demand(at) * STEP), policy, chance)
        staying = [pod for pod in pods if pod.drains is None]
        day.append(_moment(at, pods, staying, waiting, cut_short, policy))
        seen = day[max(0, len(day) - 1 - LAG)]
        wanted = scaler.decide(len(staying), seen.live, seen.waiting, seen.teaching)
        pods += [Pod(at + START_SECONDS) for _ in range(wanted - len(staying))]
        for pod in _chosen(staying, len(staying) - wanted, at, chance):
            pod.drains = at
    return day


def _arrivals(chance: random.Random, mean: float) -> int:
    """Return a number with Poisson's distribution (Knuth's algorithm)."""
    count, product = 0, chance.random()
    while product > math.exp(-mean):
        count, product = count + 1, product * chance.random()
    return count


def _end(pods: list[Pod], at: int, grace: int) -> int:
    """End lessons that are over, and pods that have drained; return the lessons cut short."""
    cut_short = 0
    for pod in pods[:]:
        pod.ends = [end for end in pod.ends if end > at]
        late = pod.drains is not None and at - pod.drains > grace
        if pod.drains is not None and (late or not pod.ends):
            cut_short += len(pod.ends)
            pods.remove(pod)
    return cut_short


def _begin(pods: list[Pod], at: int, waiting: int, policy: Policy, chance: random.Random) -> int:
    """Begin lessons on random pods that have room, as LiveKit does; return who still waits."""
    while waiting:
        open_pods = [
            pod
            for pod in pods
            if pod.drains is None and pod.ready <= at and len(pod.ends) < policy.per_pod
        ]
        if not open_pods:
            return waiting
        minutes = min(120.0, max(2.0, chance.lognormvariate(math.log(22), 0.5)))
        chance.choice(open_pods).ends.append(at + int(60 * minutes))
        waiting -= 1
    return 0


def _chosen(staying: Sequence[Pod], count: int, at: int, chance: random.Random) -> list[Pod]:
    """Return the pods to remove: those that are not ready first, as a ReplicaSet does."""
    shuffled = chance.sample(list(staying), len(staying)) if count > 0 else []
    return sorted(shuffled, key=lambda pod: pod.ready <= at)[: max(0, count)]


def _moment(
    at: int,
    pods: Sequence[Pod],
    staying: Sequence[Pod],
    waiting: int,
    cut_short: int,
    policy: Policy,
) -> Moment:
    return Moment(
        at=at,
        replicas=len(staying),
        capacity=sum(policy.per_pod for pod in staying if pod.ready <= at),
        live=sum(len(pod.ends) for pod in pods),
        waiting=waiting,
        teaching=sum(bool(pod.ends) for pod in staying),
        cut_short=cut_short,
    )


def weekday(peak: float) -> Callable[[int], float]:
    """Return a day's demand: a bump at noon, most in the evening, and a class at ten.

    Args:
        peak: Learners in lessons at the evening's height, about.
    """

    def demand(at: int) -> float:
        hour = at / HOUR
        evening = math.exp(-(((hour - 19) / 2.2) ** 2))
        noon = 0.4 * math.exp(-(((hour - 12.5) / 1.3) ** 2))
        a_class = 30 / 60 if 10 * HOUR <= at < 10 * HOUR + 60 else 0.0
        return peak * (0.02 + evening + noon) / (25 * 60) + a_class

    return demand


def figures(day: Sequence[Moment], policy: Policy) -> dict[str, float]:
    """Return what the day cost and how learners fared."""
    waits = sum(moment.waiting for moment in day) * STEP
    return {
        "most_lessons": max(moment.live for moment in day),
        "most_replicas": max(moment.replicas for moment in day),
        "least_replicas": min(moment.replicas for moment in day),
        "pod_hours": round(sum(moment.replicas for moment in day) * STEP / HOUR),
        "pod_hours_of_lessons": round(sum(it.live for it in day) * STEP / HOUR / policy.per_pod),
        "learner_seconds_waited": waits,
        "seconds_in_which_someone_waited": sum(it.waiting > 0 for it in day) * STEP,
        "lessons_cut_short": sum(moment.cut_short for moment in day),
    }


WIDTH, HEIGHT, MARGIN = 960, 360, 40


def plot(day: Sequence[Moment], title: str) -> Iterator[str]:
    """Yield the lines of an SVG: lessons and waiting learners below the capacity of the pods."""
    top = max(moment.capacity for moment in day) * 1.05
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
    yield "<style>text{font:12px sans-serif}polyline{fill:none;stroke-width:1.5}</style>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    yield f'<text x="{MARGIN}" y="20">{title}</text>'
    for hour in range(0, 25, 3):
        x = MARGIN + (WIDTH - 2 * MARGIN) * hour / 24
        yield f'<text x="{x:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{hour:02}:00</text>'
    for part in (0.25, 0.5, 0.75, 1.0):
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * part
        yield f'<text x="4" y="{y:.0f}">{top * part:.0f}</text>'
        yield f'<path d="M{MARGIN} {y:.0f}H{WIDTH - MARGIN}" stroke="#ddd"/>'
    series = {"capacity": "#888", "live": "#1668b0", "waiting": "#c22"}
    for index, (name, colour) in enumerate(series.items()):
        points = " ".join(
            f"{MARGIN + (WIDTH - 2 * MARGIN) * it.at / DAY:.1f},"
            f"{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * getattr(it, name) / top:.1f}"
            for it in day[::4]
        )
        yield f'<polyline points="{points}" stroke="{colour}"/>'
        yield f'<text x="{WIDTH - 300 + 90 * index}" y="20" fill="{colour}">{name}</text>'
    yield "</svg>"


def main(overlay: str = "conversation") -> None:
    """Plot a day on stdout, with the figures on stderr."""
    policy = Policy.read(build(overlay))
    day = simulate(policy, weekday(peak=0.6 * policy.most * policy.per_pod))
    sys.stdout.writelines(f"{line}\n" for line in plot(day, f"{overlay}: lessons and capacity"))
    sys.stderr.write(json.dumps(figures(day, policy), indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
