"""Which address or port to take, given what is taken: data in, data out."""
