"""The report: a static site that shows days, made from what the days tell."""
