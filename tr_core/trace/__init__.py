"""What a step and a run did: records that go to JSON and back, and their checks. No torch."""

from tr_core.trace.records import *  # noqa: F403
from tr_core.trace.records import MAX_FILE_BYTES, ROOT, SCHEMA, STOP_REASONS  # noqa: F401
