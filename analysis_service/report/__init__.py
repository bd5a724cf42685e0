"""A run as a page to read and as pictures: pure, from values to text (and pixels). No file, no clock, no request."""
