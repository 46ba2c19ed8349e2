"""What the figures in docs come from. Each prints ratios to a baseline that runs in the same run."""
