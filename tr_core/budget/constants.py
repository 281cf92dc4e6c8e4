"""All tuned numbers of budgets: what each does, and what was measured for it. No torch here.

“Tuning half”, “worst” and × are those of ``benchmarks/drafting``: prompts of ``ablation.py``, the
slowest of them, and times plain decoding. What has no figure was chosen, not measured.
"""

from __future__ import annotations

# -- Measuring t(N) --------------------------------------------------------------------------------

# Sizes that are measured, those that matter most first: a slow model gets no further than these.
MEASURED = (0, 8, 32, 4, 16, 2, 80)
ROUNDS = 6
# Steps of one size in a row, the first of which does not count. In turns, a plain step after 80
# nodes looked a tenth dearer than it is, and 16 nodes cost 1.15 plain steps; in rows of three 1.42,
# in runs of 16 alone 1.45.
BLOCK = 3
SECONDS = 1.2
PROMPT_TOKENS = 160

# -- Learning t(N) from steps: ``LiveCurve`` -------------------------------------------------------
# In simulation a curve that is wrong threefold is within 12 % after 40 steps. cost_drift.py gives
# how far t(8) / t(0) is off: 0.08 on a machine of two paces, 0.09 where they change often, 0.17 on
# a very restless one, 0.03 on a quiet one (0.11, 0.15, 0.18 and 0.04 before SHAKEN counted less
# for the shape than for the level).

# Sizes at which a curve is corrected, and the sizes of grown drafts. Grown drafts of any size were
# 1 % faster, but each new size costs 3 ms once, since oneDNN makes kernels for it.
KNOTS = (0, 2, 4, 8, 16, 32, 80)
# First doubts, as standard deviations of the logarithm of milliseconds: of the ratio to a plain
# step, as a random walk over each doubling of 1 + N and at each size by itself; and of the level.
PER_DOUBLING = 0.14
PER_SIZE = 0.05
LEVEL = 0.3
# Per step: how far the level wanders, the share of the shape's first doubt that returns, and how
# far one step strays.
LEVEL_STEP = 0.03
FORGETTING = 0.001
NOISE = 0.12
# A step further off counts as this many standard deviations. With full weight a busy moment bends
# the curve; with none, a curve wrong by a factor of 100 took 12 steps to be noticed.
CLIP = 2.0
# Two steps in a row, off to the same side, return this share of the shape's first doubt and all of
# the level's. After one such step, a machine with one slow step in twenty never settled (15 % off).
# 0.05 was more exact, but a wrong first curve healed too slowly.
SHAKEN = 0.25
# Timed steps that may wait to be learned from.
WAITING = 256

# -- Any budget ------------------------------------------------------------------------------------

# Steps after which costs, and the template in use, are looked at again.
EVERY = 12
# Steps or tokens that statistics of acceptance remember.
MEMORY = 64
# Rows of the prompt may cost this share of decoding the output plainly, and so many at most. With
# rows of the prompt 25 prompts took 43 steps on average, without 46.
PROMPT_SHARE = 0.1
MAX_ROWS = 100_000

# -- Templates -------------------------------------------------------------------------------------

# Sizes to choose from: few, so that shapes, and what is kept for each, come again.
SIZES = (0, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80)
# Observations that the prior counts for.
PRIOR_WEIGHT = 6.0
# A row that was right when last asked is this much less likely to be wrong. On the bundled model
# such rows are right again nine times of ten, others four times.
SURE = 0.25
# Rows on a spine of under 4, under 16 and 16 sure rows have statistics of their own. Spines: 2.01 ×
# with and 1.81 × without on 25 prompts at float32-like costs, 2.69 and 2.52 at bfloat16-like ones.
SPINES = (4, 16)
LONGEST_SPINE = SPINES[-1]
# Chance that a token copied from the text is right, as ``prompt_lookup`` believes at first.
COPY_ACCEPTANCE = 0.5
# A new shape must promise this much more than the one in use, and drafting than none.
MARGIN = 1.03
# Kept ÷ promised tokens: those that trust begins with, and the steps that it remembers. And debts:
# each plain step that a run is behind plain decoding asks for a larger margin; steps ahead that
# count at most; what each token forgives. On 25 prompts 1.774 × and worst 0.90 without both, 1.767
# and 0.95 with trust, 1.764 and 0.93 with debts, 1.765 and 0.96 with both.
TRUST_WEIGHT = 4.0
TRUST_MEMORY = 24
CAUTION = 0.06
CREDIT = 2.0
FORGIVEN = 0.01
# A ratio of costs is in doubt above this standard deviation of its logarithm; then one step in so
# many is a probe.
TEMPLATE_DOUBT = 0.15
TEMPLATE_PROBE_EVERY = 8

# -- Grown trees -----------------------------------------------------------------------------------
# Found with ``sizing.py``, costs “cpu”, tuning half, cold: 2.21 × and worst 0.87 before all of it.

# The host's milliseconds for a node until they are known, what a new measurement of them counts,
# and the nodes of a draft that is large enough to be one.
NODE_MS = 0.015
NODE_MS_RATE = 0.1
NODE_MS_LEAST = 8
# A further node costs at least this share of a plain step.
LEAST_SLOPE = 0.0005
# Trust in chances, by place in the order of growth (+ 2 %): for the first places before anything
# was seen, for the next ones as a share of that in those before them, the tokens that these beliefs
# count for, and its limits. NEXT: flat costs want 0.95 (+ 6 %), a CPU 0.5 (+ 1 %).
FIRST_TRUST = 0.6
NEXT_TRUST = 0.65
TRUST_BELIEF = 4.0
TRUST_LIMITS = (0.05, 1.25)
# Tokens that the row of a rejected node saves later (+ 5 %, worst 1.03): for the first place, and
# the places after which it halves. A bonus that does not fade was no better.
ROW_WORTH = 0.12
ROW_WORTH_HALVES = 6.0
# It counts in full in a run that is this share faster than plain decoding, and less in a slower
# one. Chosen among 0.3 … 1.2. On the half not looked at: costs “xeon” 2.31 × and worst 0.94
# without, 2.35 and 0.97 with it; “cpu” 2.56 and 1.06, 2.58 and 1.04.
FULL_WORTH_GAIN = 0.65
# Times plain decoding that a new run is believed to be, and the tokens that this counts for. The
# run's own rate, instead of each draft's best E(n) / t(n): + 2 %.
FIRST_SPEED = 1.8
SPEED_BELIEF = 16.0
# As TEMPLATE_DOUBT and …_PROBE_EVERY; higher, since large drafts are within reach here. With those:
# 2.37 × and worst 0.95, with these 2.39 and 0.98, without probes 2.41 and 0.94.
GROWN_DOUBT = 0.25
GROWN_PROBE_EVERY = 32
# The same for a plain step, by which all sizes are judged. Without any, worst 0.72 on a restless
# machine; 0.5 – 1.6 % of steps at 0.2, 0.7 – 2.6 % at 0.12.
PLAIN_DOUBT = 0.12
