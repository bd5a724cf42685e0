"""What metrics were: ranges of past data, from a server, from files, from recordings. Asked off the loop, always."""
