"""How well a live cost curve knows a restless machine, made up: what 8 nodes cost beside a plain
step.

    python -m benchmarks.drafting.cost_drift [--seeds 12] [--doubt 0.12]

Steps take what ``COSTS["xeon"]`` of ``sizing.py`` tells, times the machine's pace, times noise;
some are hit by something else and take up to three times as long. The first curve is wrong by 15 %
at each size. Drafts have the sizes of a run that always drafts; a step is plain where the ratio is
in doubt by more than ``--doubt``, at most one in 32, as ``GrownTreeBudget`` has it. ``off`` is how
far t(8) / t(0), as believed, lies from the truth (root of the mean square of its logarithm),
``at worst`` the furthest in a run, ``plain`` the share of plain steps, and ``heals`` the steps
until nodes that become half as dear again are believed to within a fifth. No clock is read: the
same figures everywhere.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.drafting.sizing import COSTS
from benchmarks.shared import report
from tr_core.budget.cost_curve import KNOTS, CostCurve, LiveCurve

STEPS, SETTLED, ASKED, APART = 2400, 300, 12, 32
SIZES, SHARES = (2, 4, 8, 16, 32), (0.03, 0.07, 0.55, 0.33, 0.02)
TRUE = CostCurve(KNOTS, COSTS["xeon"])
DEARER = CostCurve(
    KNOTS, tuple(ms * (1.5 if n else 1) for n, ms in zip(KNOTS, COSTS["xeon"], strict=True))
)


@dataclass(frozen=True)
class Machine:
    """Its pace changes by ``jump`` every ``dwell`` steps on average, its steps stray, and some are
    ``late``.
    """

    jump: float = 1.0
    dwell: int = 150
    noise: float = 0.08
    late: float = 0.05


MACHINES = {
    "quiet": Machine(noise=0.03, late=0.01),
    "restless": Machine(),
    "of two paces": Machine(jump=1.7),
    "of two paces, in turns": Machine(jump=1.7, dwell=40),
    "very restless": Machine(noise=0.2, late=0.12),
}


def run(
    machine: Machine, seed: int, doubt: float, *, changed: bool = False
) -> tuple[list[float], float, int]:
    """Errors of log t(8) / t(0) by and by, the share of plain steps, and the steps to believe a
    change of costs.
    """
    chance = np.random.default_rng(seed)
    live = LiveCurve(
        CostCurve.fit({n: [TRUE.at(n) * math.exp(chance.normal(0, 0.15))] for n in KNOTS})
    )
    slow, plain, since, errors, right, healed = False, 0, 0, [], 0, None
    for step in range(STEPS):
        truth = DEARER if changed and step >= STEPS // 2 else TRUE
        size = (
            0 if since >= APART and live.doubt(8) > doubt else int(chance.choice(SIZES, p=SHARES))
        )
        since, plain = (0, plain + 1) if size == 0 else (since + 1, plain)
        slow ^= chance.random() < 1 / machine.dwell
        ms = (
            truth.at(size)
            * (machine.jump if slow else 1)
            * math.exp(chance.normal(0, machine.noise))
        )
        live.observe(size, ms * (chance.uniform(1.5, 3) if chance.random() < machine.late else 1))
        if step % ASKED == 0 and step >= SETTLED:
            errors.append(math.log(live.at(8) / live.at(0) / (truth.at(8) / truth.at(0))))
            right = right + 1 if abs(errors[-1]) < 0.2 and step > STEPS // 2 else 0
            if right == 3 and healed is None:
                healed = step - STEPS // 2
    return errors, plain / STEPS, healed or STEPS // 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--doubt", type=float, default=0.12)
    args = parser.parse_args()
    rows = []
    for name, machine in MACHINES.items():
        runs = [run(machine, seed, args.doubt) for seed in range(args.seeds)]
        changes = [run(machine, seed, args.doubt, changed=True)[2] for seed in range(args.seeds)]
        rows.append(
            {
                "machine": name,
                "off": fmean(math.sqrt(fmean(e * e for e in errors)) for errors, _, _ in runs),
                "at worst": fmean(max(map(abs, errors)) for errors, _, _ in runs),
                "plain": f"{fmean(share for _, share, _ in runs):.1%}",
                "heals": round(fmean(changes)),
            }
        )
    report.show("Costs on a restless machine", rows)


if __name__ == "__main__":
    main()
