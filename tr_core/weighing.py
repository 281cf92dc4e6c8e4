"""What decides the size of a run's drafts: a tree that the settings name, a ``Budget``, or a ``Growth``."""

from __future__ import annotations

from tr_core import templates
from tr_core.budget import Budget, CostCurve
from tr_core.drafters import registry
from tr_core.growth import Growth
from tr_core.settings import Settings
from tr_core.target import Target
from tr_core.tree import MAX_K, TreeTemplate

# Chance that a copied token is right, given that those before it were: what a look-up in the text believes at first.
_COPY_ACCEPTANCE = 0.5


def weighing(target: Target, settings: Settings, curve: CostCurve | None) -> tuple[Budget | None, Growth | None]:
    """One that knows only what steps cost here; none where the settings name a tree or nothing is drafted.

    Args:
        curve: what steps cost; None to let the target measure it.
    """
    tree, entry = settings.tree, registry.entry(settings.drafter)
    if isinstance(tree, TreeTemplate) or tree.strip() != "auto" or not entry.drafts:
        return None, None
    curve = curve or target.cost_curve(settings)
    if entry.grows:
        return None, Growth(curve)
    if entry.uses_tree:
        return Budget(curve, templates.rank_acceptance(settings.k)), None
    return Budget(curve, [_COPY_ACCEPTANCE], least=2), None


def fixed_template(settings: Settings) -> TreeTemplate:
    """The tree that the settings name; a root alone for a drafter that drafts nothing.

    Raises:
        TemplateError: it is none, or does not fit k.
    """
    entry = registry.entry(settings.drafter)
    tree, k = settings.tree, MAX_K if entry.grows else settings.k  # of a grown tree only the number of nodes counts
    if isinstance(tree, TreeTemplate):
        tree.check_k(k)
        return tree
    return templates.resolve(tree, k) if entry.drafts else templates.chain(0)
