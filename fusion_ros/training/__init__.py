"""Data sets, glare and darkness synthesis, losses, trainers and loss search."""
