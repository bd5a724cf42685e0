"""The pure core: values and the time in, values out. No clock, no network, no files, no logging."""
