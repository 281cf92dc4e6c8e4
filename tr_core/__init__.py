"""Token Recycling: lossless speculative decoding from recycled candidates.

The method is Luo et al., arXiv 2408.08696.

    from tr_core import Session, Settings, load_target

    target = load_target("assets/models/pocket")
    session = Session(target, Settings(max_new_tokens=64))
    session.start(target.vocabulary.encode("Once upon a time"))
    for step in session.run():
        print(step.index, target.vocabulary.decode(step.emitted))

The names below load on first use, so that reading a trace needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tr_core.decoding.recording import Recording
    from tr_core.decoding.session import Session
    from tr_core.drafters.candidate_matrix import CandidateMatrix
    from tr_core.errors import TokenRecyclingError
    from tr_core.generate import token_recycling
    from tr_core.models.loading import load_target
    from tr_core.settings import Settings
    from tr_core.trace import RunTrace, StepTrace
    from tr_core.trees.tree import DraftTree, TreeTemplate

__version__ = "0.1.0"

_HOMES = {
    "CandidateMatrix": "drafters.candidate_matrix",
    "DraftTree": "trees.tree",
    "Recording": "decoding.recording",
    "RunTrace": "trace.records",
    "Session": "decoding.session",
    "Settings": "settings",
    "StepTrace": "trace.records",
    "TokenRecyclingError": "errors",
    "TreeTemplate": "trees.tree",
    "load_target": "models.loading",
    "token_recycling": "generate.method",
}
__all__ = [
    "CandidateMatrix",
    "DraftTree",
    "Recording",
    "RunTrace",
    "Session",
    "Settings",
    "StepTrace",
    "TokenRecyclingError",
    "TreeTemplate",
    "load_target",
    "token_recycling",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tr_core' has no attribute {name!r}")
    return getattr(import_module(f"tr_core.{_HOMES[name]}"), name)
