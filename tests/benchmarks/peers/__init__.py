"""The same figures of other workers' process pools, measured in the same run."""
