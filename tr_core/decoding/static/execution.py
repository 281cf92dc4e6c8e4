"""How the steps of a run are made: as static steps where they are wanted and the model can do them."""

from __future__ import annotations

from tr_core.decoding.sampling import Greedy, Rules, Sampled
from tr_core.decoding.sizing import is_auto
from tr_core.decoding.static.graphs import can_capture
from tr_core.decoding.static.run import NoStaticStep, StaticRun
from tr_core.drafters.base import Drafter
from tr_core.settings import Settings
from tr_core.target import Target
from tr_core.trees.tree import TreeTemplate


def prepared(
    target: Target,
    settings: Settings,
    root: int,
    template: TreeTemplate,
    drafter: Drafter,
    chooses: Greedy | Sampled | Rules,
) -> tuple[StaticRun | None, str]:
    """The static run of a prompt that has been read, or None; and what the run's record says of it.

    Args:
        target: the prompt is in its cache.
        settings: of the run.
        root: the prompt's last token.
        template: of the first step.
        drafter: of the run.
        chooses: its tokens.
    """
    if settings.capture == "off":
        return None, "ordinary: switched off"
    if settings.capture == "auto" and not can_capture(target.device):
        return None, f"ordinary: no graphs on {target.device.type}"
    if not isinstance(chooses, Greedy | Sampled):
        return None, "ordinary: tokens are chosen one by one, by rules from outside"
    if settings.strict:
        return None, "ordinary: strict decoding goes back over what it has scored"
    begin = getattr(target, "static", None)
    if begin is None:
        return None, f"ordinary: {target.name} has no static step"
    sampled = chooses if isinstance(chooses, Sampled) else None
    auto = is_auto(settings, type(drafter))
    try:
        static = begin(root, settings, template, drafter, sampled, auto)
    except NoStaticStep as reason:
        return None, f"ordinary: {reason}"
    return static, static.how
