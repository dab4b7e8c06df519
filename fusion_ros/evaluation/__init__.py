"""Evaluation of fusion modes over a recording: scores a frame, tables, a report, comparison of two runs."""
