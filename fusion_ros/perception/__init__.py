"""Detection and segmentation behind two small classes.

Everything that imports ultralytics (AGPL-3.0) is here and in `training/`; the rest of the package sees `Detector` and
`Segmenter` only.
"""

from __future__ import annotations
