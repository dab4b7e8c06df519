"""A procedural drive: thermal and RGB images with ground truth boxes and masks."""
