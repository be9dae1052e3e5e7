"""What the supervisor must not forget: intents, the timeline, and snapshots of open business.

Law: plain payloads only (records of its own, strings, JSON); knows nothing of the core's
decisions. What a write returned for is on disk. One supervisor writes; ages never rest on
wall-clock time. Start at `journal`.
"""
