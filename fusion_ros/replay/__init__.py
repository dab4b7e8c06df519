"""A recording replayed over DDS through the running nodes: processes, pace, a subscriber, and what belongs together."""
