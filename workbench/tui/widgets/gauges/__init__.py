"""The gauges: measured figures against the marks they are judged by."""
