"""Performance as ratios, each measured in one interleaved run: ratios travel between machines, times do not."""
