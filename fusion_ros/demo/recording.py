"""Makes the bag that a demo replays."""

from __future__ import annotations
