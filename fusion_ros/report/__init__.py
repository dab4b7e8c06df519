"""HTML reports, plots and videos."""
