"""Errors of bad input, as a tree.

    TokenRecyclingError
    ├── SettingsError          a setting is out of range, or two settings cannot go together
    ├── PromptError            the prompt is empty, too long, or not text
    ├── TemplateError          a tree template is no tree, or does not fit k or the node limit
    ├── ModelError             no such model, or it cannot be loaded
    │   ├── UnsupportedModelError   the model loads, but tree decoding would not be exact on it
    │   ├── MemoryShortError        the device has no room for the model, the prompt or one more run
    │   └── LoadStoppedError        no request waited for the model any more
    ├── MatrixError            a stored candidate matrix is broken or of another tokenizer
    ├── TraceError             a stored trace is broken or of another schema
    ├── CheckpointError        a checkpoint is broken, or belongs to another model
    └── CompareError           runs that were chosen together cannot be laid side by side

Command line, page and API catch ``TokenRecyclingError`` only: its text is one sentence for the
reader. Everything else is a bug and must be seen. This module imports no torch.
"""


class TokenRecyclingError(Exception):
    """Base of all errors that a user can cause and mend."""

    def __init__(self, sentence: object = "") -> None:
        # A sentence may quote a user's text, but must stay on one line.
        super().__init__("".join(c if c.isprintable() else " " for c in str(sentence)))


class SettingsError(TokenRecyclingError):
    """A setting is out of range, or two settings cannot go together."""


class PromptError(TokenRecyclingError):
    """The prompt is empty, too long for the model, or not text."""


class TemplateError(TokenRecyclingError):
    """A tree template is no tree, has a rank that k cannot fill, or has too many nodes."""


class ModelError(TokenRecyclingError):
    """The model cannot be found or loaded."""


class UnsupportedModelError(ModelError):
    """The model is of a kind on which tree decoding would not equal plain decoding."""


class MemoryShortError(ModelError):
    """Too little memory on the device: the model, the prompt or the number of runs is too large."""


class LoadStoppedError(ModelError):
    """The loading of a model was stopped before it was complete."""


class MatrixError(TokenRecyclingError):
    """A stored candidate matrix is broken, or belongs to another tokenizer or k."""


class TraceError(TokenRecyclingError):
    """A stored trace is broken, or of a schema that this version does not know."""


class CheckpointError(TokenRecyclingError):
    """A checkpoint is broken, of another schema, or belongs to another model."""


class CompareError(TokenRecyclingError):
    """Runs cannot be laid side by side: too few, too many, or not of one prompt."""
